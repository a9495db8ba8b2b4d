//! `rnn init`: fresh weights.

use std::path::Path;

use anyhow::Result;
use elman::io::{
    AnyArray, Dtype, Folder, Overwrite, Real, Sink, open_folder, write_folder, write_npz,
};
use elman::{Config, Element, Parameter, Params, Random, is_parameter_name};
use ndarray::ArrayD;

use crate::args::Init;
use crate::failure::{Usage, with_hint};
use crate::hint::CommandLine;
use crate::layer::{config_from_flags, note_dropout};
use crate::outputs::{overwrite, refuse_terminal, shown};
use crate::report::{Notes, Report, TensorLine};
use crate::rng::Rng;

pub(crate) fn init(args: &Init) -> Result<()> {
    let config = config_from_flags(&args.layer, None)?;
    match args.dtype {
        Dtype::F32 => init_as::<f32>(args, &config),
        Dtype::F64 => init_as::<f64>(args, &config),
    }
}

fn init_as<T: Element + Random + Real>(args: &Init, config: &Config) -> Result<()> {
    Rng::refuse_shared(&args.rng, &args.output)?;
    let mut rng = Rng::open(&args.rng)?;
    let target = Target::open(&args.output, overwrite(&args.report))?;
    let seed = rng.seed(&args.rng);
    let tensors = Params::<T>::init(config.clone(), &mut rng.generator)?.into_tensors();
    let lines = config.parameters().map(|Parameter { name, shape, axes }| TensorLine {
        name,
        shape,
        axes,
        dtype: args.dtype.to_string(),
        file: None,
    });
    let replaced = std::fs::read_dir(&args.output).map_or(0, Iterator::count);
    target.write(&tensors, config)?;
    rng.save()?;

    let stdout_taken = args.output == Path::new("-");
    let mut notes = Notes::default();
    if replaced > 0 {
        notes.note(format!(
            "{}: the {replaced} files that stood there are replaced",
            args.output.display()
        ));
    }
    if config.num_layers == 1 {
        note_dropout(config, true, &mut notes);
    }
    let report = Report {
        command: "init",
        layer: Some((config.clone(), args.dtype)),
        weights: Some(shown(&args.output)),
        seed,
        rng: args.rng.rng.as_ref().map(|path| path.display().to_string()),
        tensors: lines.collect(),
        run: None,
        notes,
    };
    report.print(&args.report, stdout_taken)
}

/// Where weights go.
enum Target {
    Folder(Folder),
    Npz(Sink),
}

impl Target {
    /// The format follows from the extension; none, or a folder that exists, is a folder.
    fn open(path: &Path, overwrite: Overwrite) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let folder = || open_folder(path, overwrite, is_parameter_name).map(Target::Folder);
        let npz = || Sink::open(path, overwrite).map(Target::Npz);
        if path == Path::new("-") {
            refuse_terminal("w.npz")?;
            return Ok(npz()?);
        }
        let existing = std::fs::metadata(path).ok();
        if existing.as_ref().is_some_and(|existing| !existing.is_file() && !existing.is_dir()) {
            return Ok(npz()?);
        }
        match &*extension {
            "npz" => Ok(npz()?),
            _ if existing.is_some_and(|existing| existing.is_dir()) => Ok(folder()?),
            "" => Ok(folder()?),
            _ => {
                let message = format!(
                    "{}: expected a folder, .npz or - for weights, got .{extension}",
                    path.display()
                );
                let line = CommandLine::new().with("-o", Some("weights/"));
                Err(with_hint(Usage(message), Some(line.to_string())))
            }
        }
    }

    fn write<T: Real>(self, tensors: &[(String, ArrayD<T>)], config: &Config) -> Result<()> {
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
        }
    }
}
