//! Where weights go: a folder, .npz or .safetensors.

use std::path::Path;

use anyhow::Result;
#[cfg(feature = "safetensors")]
use elman::io::write_safetensors;
use elman::io::{AnyArray, Folder, Overwrite, Real, Sink, open_folder, write_folder, write_npz};
use elman::{Config, is_parameter_name};
use ndarray::ArrayD;

use crate::failure::{Usage, with_hint};
use crate::hint::CommandLine;
use crate::outputs::refuse_terminal;

/// An output for weights that has been found writable.
pub(crate) enum Target {
    Folder(Folder),
    Npz(Sink),
    #[cfg(feature = "safetensors")]
    Safetensors(Sink),
}

impl Target {
    /// The format follows from the extension; none, or a folder that exists, is a folder.
    pub(crate) fn open(path: &Path, overwrite: Overwrite) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let folder = || open_folder(path, overwrite, is_parameter_name).map(Target::Folder);
        let npz = || Sink::open(path, overwrite).map(Target::Npz);
        if path == Path::new("-") {
            refuse_terminal("w.npz")?;
            return Ok(npz()?);
        }
        let existing = std::fs::metadata(path).ok();
        let is_folder = existing.as_ref().is_some_and(std::fs::Metadata::is_dir);
        let is_file = existing.as_ref().is_none_or(std::fs::Metadata::is_file);
        match &*extension {
            "npz" => Ok(npz()?),
            #[cfg(feature = "safetensors")]
            "safetensors" => Ok(Sink::open(path, overwrite).map(Target::Safetensors)?),
            // A pipe or a device, by whatever name.
            _ if !is_folder && !is_file => Ok(npz()?),
            _ if is_folder => Ok(folder()?),
            "" => Ok(folder()?),
            _ => {
                let message = format!(
                    "{}: expected {EXPECTED} or - for weights, got .{extension}",
                    path.display()
                );
                let line = CommandLine::new().with("-o", Some("weights/"));
                Err(with_hint(Usage(message), Some(line.to_string())))
            }
        }
    }

    /// Writes the tensors and their configuration, and puts them in their place in one step.
    pub(crate) fn write<T: Real>(
        self,
        tensors: &[(String, ArrayD<T>)],
        config: &Config,
    ) -> Result<()> {
        let text = format!("{:#}\n", config.to_json());
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
        }
    }
}

/// The outputs for weights that this build writes.
const EXPECTED: &str =
    if cfg!(feature = "safetensors") { "a folder, .npz, .safetensors" } else { "a folder, .npz" };
