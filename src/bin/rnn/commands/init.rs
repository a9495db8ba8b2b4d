//! `rnn init`: fresh weights.

use std::path::Path;

use anyhow::Result;
use elman::files::{Dtype, Real};
use elman::{Config, Element, Params, Random};

use crate::args::Init;
use crate::explain::hint;
use crate::layer::{config_from_flags, note_dropout};
use crate::pipeline::output::{overwrite, shown};
use crate::report::{Notes, Report};
use crate::rng::Rng;
use crate::target::{self, Target, note_replaced};

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
    let remedy = |other: &str| hint::set("-o", other);
    let target = Target::open(&args.output, overwrite(&args.report), remedy)?;
    let seed = rng.seed(&args.rng);
    let tensors = Params::<T>::init(config.clone(), &mut rng.generator)?.into_tensors();
    let mut notes = Notes::default();
    note_replaced(&args.output, &mut notes);
    target.note(args.dtype, &mut notes);
    target.write(&tensors, config, &config.to_json())?;
    rng.save()?;

    if config.num_layers == 1 {
        note_dropout(config, true, &mut notes);
    }
    let rng = args.rng.rng.as_deref().map(shown);
    let report = target::report("init", (config, args.dtype), &args.output, notes);
    Report { seed, rng, ..report }.print(&args.report, args.output == Path::new("-"))
}
