//! `rnn init`: fresh weights.

use anyhow::Result;
use elman::files::is_standard_output;
use elman::{Config, Element, Params};

use crate::args::Init;
use crate::explain::hint;
use crate::layer::{config_from_flags, note_dropout};
use crate::pipeline::extent;
use crate::progress;
use crate::report::{Notes, Report};
use crate::rng::Rng;
use crate::weights_output::{WeightsOutput, report};

pub(crate) fn init(args: &Init) -> Result<()> {
    let config = config_from_flags(&args.layer, None)?;
    typed!(args.dtype, init_as(args, &config))
}

fn init_as<T: Element>(args: &Init, config: &Config) -> Result<()> {
    let mut rng = Rng::open(args.rng.seed, args.rng.rng.as_deref(), [&args.output])?;
    let remedy = |other: &str| hint::set("-o", other);
    let output = WeightsOutput::open(&args.output, args.report.overwrite(), remedy)?;
    // The numbers are drawn, and then written below a bar of their own.
    let bar =
        progress::transfer(config.num_parameters().map_or(0, |count| extent::bytes::<T>(&[count])));
    let tensors = Params::<T>::init(config.clone(), rng.generator()?)?.into_tensors();
    drop(bar);
    let mut notes = Notes::new(args.report.form());
    output.note(&args.output, args.dtype, &mut notes);
    let written = output.write(&tensors, config, &config.to_json())?;
    let (seed, rng) = (rng.seed, rng.save([written])?);

    if config.num_layers == 1 {
        note_dropout(config, true, &mut notes);
    }
    let report = report("init", (config, args.dtype), &args.output, notes);
    Report { seed, rng, ..report }.print(is_standard_output(&args.output))
}
