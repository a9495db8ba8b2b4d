//! `rnn init`: fresh weights.

use std::path::Path;

use anyhow::Result;
use elman::io::{Dtype, Real};
use elman::{Config, Element, Parameter, Params, Random};

use crate::args::Init;
use crate::layer::{config_from_flags, note_dropout};
use crate::outputs::{overwrite, shown};
use crate::report::{Notes, Report, TensorLine};
use crate::rng::Rng;
use crate::target::Target;

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
