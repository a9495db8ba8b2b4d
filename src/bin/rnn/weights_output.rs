//! Outputs for weights: a folder, .npz, .safetensors or .onnx.

use std::path::Path;

use anyhow::Result;
#[cfg(feature = "onnx")]
use elman::MODEL;
use elman::files::{
    AnyArray, Folder, Overwrite, Pending, Sink, TEXT_NAME, is_replaced, is_standard_output,
    write_folder, write_npz, write_safetensors,
};
#[cfg(feature = "onnx")]
use elman::write_onnx;
use elman::{Config, Dtype, Element, Parameter, is_parameter_name};
use ndarray::ArrayD;
use serde_json::Value;

use crate::failure::Data;
use crate::layer::enumerated;
use crate::pipeline::extent;
use crate::pipeline::output_path::{refuse_terminal, refused, shown};
use crate::progress;
use crate::report::{Notes, Report, TensorLine};

pub(crate) enum WeightsOutput {
    Folder(Folder),
    Npz(Sink),
    Safetensors(Sink),
    #[cfg(feature = "onnx")]
    Onnx(Sink),
}

/// The longest comment of an archive.
const MAX_COMMENT_BYTES: usize = 65_535;

const EXPECTED: &str = if cfg!(feature = "onnx") {
    "a folder, .npz, .safetensors, .onnx"
} else {
    "a folder, .npz, .safetensors"
};

impl WeightsOutput {
    /// The format follows from the extension; a path without one, or an existing folder, is a folder. `remedy` is
    /// the command with another output.
    pub(crate) fn open(
        path: &Path,
        overwrite: Overwrite,
        remedy: impl Fn(&str) -> String,
    ) -> Result<Self> {
        let stdout = is_standard_output(path);
        if stdout {
            refuse_terminal(|| remedy("w.npz"))?;
        }
        let existing = std::fs::metadata(path).ok().filter(|_| !stdout);
        let is_folder = existing.as_ref().is_some_and(std::fs::Metadata::is_dir);
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let sink = || Sink::open(path, overwrite);
        Ok(match &*extension {
            "npz" => Self::Npz(sink()?),
            "safetensors" => Self::Safetensors(sink()?),
            #[cfg(feature = "onnx")]
            "onnx" => Self::Onnx(sink()?),
            // A pipe, a device or a descriptor, by any name.
            _ if !is_replaced(path) => Self::Npz(sink()?),
            other if is_folder || other.is_empty() => {
                Self::Folder(Folder::open(path, overwrite, is_weights)?)
            }
            _ => {
                let expected = format!("{EXPECTED} or - for weights");
                return Err(refused(path, &expected, remedy("weights/")));
            }
        })
    }

    /// Notes about the files that will be replaced, and about f64, in which no version of ONNX Runtime computes.
    pub(crate) fn note(&self, path: &Path, dtype: Dtype, notes: &mut Notes) {
        let replaced = std::fs::read_dir(path).map_or(0, Iterator::count);
        if replaced > 0 {
            let place = shown(path);
            notes
                .notes
                .push(format!("{place}: the {replaced} files that stood there are replaced"));
        }
        #[cfg(feature = "onnx")]
        if let (Self::Onnx(_), Dtype::F64) = (self, dtype) {
            let text = "ONNX Runtime has no RNN for f64; --dtype f32 makes one that it runs";
            notes.warnings.push(text.to_owned());
        }
        #[cfg(not(feature = "onnx"))]
        let _ = dtype;
    }

    /// Says that a graph holds assumed arguments as if they were known: its nodes have them all.
    pub(crate) fn note_assumptions(&self, path: &Path, notes: &mut Notes) {
        #[cfg(feature = "onnx")]
        if let (Self::Onnx(_), false) = (self, notes.assumptions.is_empty()) {
            let names: Vec<_> = notes.assumptions.keys().map(String::as_str).collect();
            let (place, names) = (shown(path), enumerated(&names));
            notes.say(format!(
                "{place}: an .onnx states the {names}, and not that they are assumed"
            ));
        }
        #[cfg(not(feature = "onnx"))]
        let _ = (path, notes);
    }

    /// Refuses a configuration that the format does not hold.
    pub(crate) fn check(&self, saved: &Value, path: &Path) -> Result<()> {
        let (place, text) = (shown(path), format!("{saved:#}\n"));
        let message = match self {
            #[cfg(feature = "onnx")]
            Self::Onnx(_) if saved.get(MODEL).is_some() => {
                format!(
                    "{place}: expected .safetensors, .npz or a folder for a model, got .onnx, which holds the layer alone"
                )
            }
            Self::Npz(_) if text.len() > MAX_COMMENT_BYTES => format!(
                "{place}: expected at most {MAX_COMMENT_BYTES} bytes for the configuration in an .npz, got {}; a \
                 .safetensors holds more",
                text.len()
            ),
            _ => return Ok(()),
        };
        Err(Data(message).into())
    }

    /// Writes the tensors and the known part of their configuration, `saved`. A graph holds the whole configuration.
    #[cfg_attr(not(feature = "onnx"), allow(unused_variables, reason = "only a graph needs it"))]
    pub(crate) fn write<T: Element>(
        self,
        tensors: &[(String, ArrayD<T>)],
        config: &Config,
        saved: &Value,
    ) -> Result<Pending> {
        let text = format!("{saved:#}\n");
        let members = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor as _));
        let members: Vec<(&str, &dyn AnyArray)> = members.collect();
        let sizes = tensors.iter().map(|(_, tensor)| extent::bytes::<T>(tensor.shape()));
        let _bar = progress::transfer(extent::sum(sizes));
        match self {
            Self::Folder(folder) => {
                write_folder(&folder, tensors, &text)?;
                Ok(folder.into())
            }
            Self::Npz(mut sink) => {
                write_npz(&mut sink, &members, &text)?;
                Ok(sink.into())
            }
            Self::Safetensors(mut sink) => {
                write_safetensors(&mut sink, &members, &text)?;
                Ok(sink.into())
            }
            #[cfg(feature = "onnx")]
            Self::Onnx(mut sink) => {
                write_onnx(&mut sink, tensors, config)?;
                Ok(sink.into())
            }
        }
    }
}

/// Whether a file belongs to a folder of weights, which may be replaced: of a layer, or of the modules around it.
fn is_weights(file: &str) -> bool {
    let last = |name: &str| name.rsplit_once('.').map(|(_, last)| last.to_owned());
    let is_of_module =
        |name: &str| last(name).is_some_and(|last| last == "weight" || last == "bias");
    let is_weight = |name: &str| is_parameter_name(name) || is_of_module(name);
    file == TEXT_NAME || file.strip_suffix(".npy").is_some_and(is_weight)
}

pub(crate) fn report(
    command: &'static str,
    (config, dtype): (&Config, Dtype),
    path: &Path,
    notes: Notes,
) -> Report {
    let line = |own: Parameter| {
        TensorLine::new(&own.name, (&own.shape, &own.axes), dtype.to_string(), None)
    };
    Report {
        command,
        layer: Some((config.clone(), dtype)),
        weights: Some(shown(path)),
        tensors: config.parameters().map(line).collect(),
        notes,
        ..Report::default()
    }
}
