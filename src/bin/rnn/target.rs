//! Where weights go: a folder, .npz, .safetensors or .onnx.

use std::path::Path;

use anyhow::Result;
#[cfg(feature = "safetensors")]
use elman::files::write_safetensors;
use elman::files::{
    AnyArray, Dtype, Folder, Overwrite, Real, Sink, open_folder, write_folder, write_npz,
};
#[cfg(feature = "onnx")]
use elman::write_onnx;
use elman::{Config, Parameter, is_parameter_name};
use ndarray::ArrayD;
use serde_json::Value;

use crate::failure::{Usage, with_hint};
use crate::pipeline::output::{refuse_terminal_with, shown};
use crate::report::{Notes, Report, TensorLine};

/// An output for weights that has been found writable.
pub(crate) enum Target {
    Folder(Folder),
    Npz(Sink),
    #[cfg(feature = "safetensors")]
    Safetensors(Sink),
    #[cfg(feature = "onnx")]
    Onnx(Sink),
}

impl Target {
    /// The format follows from the extension; none, or a folder that exists, is a folder. `remedy` is the
    /// command with an output that can be written.
    pub(crate) fn open(
        path: &Path,
        overwrite: Overwrite,
        remedy: impl FnOnce(&str) -> String,
    ) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let folder = || open_folder(path, overwrite, is_parameter_name).map(Target::Folder);
        let npz = || Sink::open(path, overwrite).map(Target::Npz);
        if path == Path::new("-") {
            refuse_terminal_with(|| remedy("w.npz"))?;
            return Ok(npz()?);
        }
        let existing = std::fs::metadata(path).ok();
        let is_folder = existing.as_ref().is_some_and(std::fs::Metadata::is_dir);
        let is_file = existing.as_ref().is_none_or(std::fs::Metadata::is_file);
        match &*extension {
            "npz" => Ok(npz()?),
            #[cfg(feature = "safetensors")]
            "safetensors" => Ok(Sink::open(path, overwrite).map(Target::Safetensors)?),
            #[cfg(feature = "onnx")]
            "onnx" => Ok(Sink::open(path, overwrite).map(Target::Onnx)?),
            // A pipe or a device, by whatever name.
            _ if !is_folder && !is_file => Ok(npz()?),
            _ if is_folder => Ok(folder()?),
            "" => Ok(folder()?),
            _ => {
                let message = format!(
                    "{}: expected {EXPECTED} or - for weights, got .{extension}",
                    shown(path)
                );
                Err(with_hint(Usage(message), remedy("weights/")))
            }
        }
    }

    /// Writes the tensors and what is `said` of their configuration, and puts them in their place in one
    /// step. A graph holds the whole configuration.
    pub(crate) fn write<T: Real>(
        self,
        tensors: &[(String, ArrayD<T>)],
        config: &Config,
        said: &Value,
    ) -> Result<()> {
        let text = format!("{said:#}\n");
        match self {
            Target::Folder(folder) => {
                write_folder(&folder, tensors, &text)?;
                Ok(folder.commit()?)
            }
            Target::Npz(mut sink) => {
                let members = tensors.iter().map(|(name, tensor)| {
                    let array: &dyn AnyArray = tensor;
                    (name.as_str(), array)
                });
                write_npz(&mut sink, &members.collect::<Vec<_>>(), &text)?;
                Ok(sink.commit()?)
            }
            #[cfg(feature = "safetensors")]
            Target::Safetensors(mut sink) => {
                write_safetensors(&mut sink, tensors, &text)?;
                Ok(sink.commit()?)
            }
            #[cfg(feature = "onnx")]
            Target::Onnx(mut sink) => {
                write_onnx(&mut sink, tensors, config)?;
                Ok(sink.commit()?)
            }
        }
    }

    /// What a user should know about this format: no version of ONNX Runtime computes in f64.
    pub(crate) fn note(&self, dtype: Dtype, notes: &mut Notes) {
        #[cfg(feature = "onnx")]
        if let (Target::Onnx(_), Dtype::F64) = (self, dtype) {
            notes.warn(
                "ONNX Runtime has no RNN for f64; --dtype f32 makes one that it runs".to_owned(),
            );
        }
        #[cfg(not(feature = "onnx"))]
        let _ = (dtype, notes);
    }
}

/// The outputs for weights that this build writes.
const EXPECTED: &str = match (cfg!(feature = "safetensors"), cfg!(feature = "onnx")) {
    (true, true) => "a folder, .npz, .safetensors, .onnx",
    (true, false) => "a folder, .npz, .safetensors",
    (false, true) => "a folder, .npz, .onnx",
    (false, false) => "a folder, .npz",
};

/// Notes that files of a folder are going to be replaced.
pub(crate) fn note_replaced(path: &Path, notes: &mut Notes) {
    let replaced = std::fs::read_dir(path).map_or(0, Iterator::count);
    if replaced > 0 {
        let place = shown(path);
        notes.note(format!("{place}: the {replaced} files that stood there are replaced"));
    }
}

/// The report of weights that were written.
pub(crate) fn report(
    command: &'static str,
    (config, dtype): (&Config, Dtype),
    path: &Path,
    notes: Notes,
) -> Report {
    let line = |Parameter { name, shape, axes }| {
        let dtype = dtype.to_string();
        TensorLine { name, shape, axes, dtype, file: None }
    };
    Report {
        command,
        layer: Some((config.clone(), dtype)),
        weights: Some(shown(path)),
        seed: None,
        rng: None,
        tensors: config.parameters().map(line).collect(),
        run: None,
        notes,
    }
}
