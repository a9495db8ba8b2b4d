//! `rnn randn`: a tensor of standard-normal numbers.

use std::path::Path;

use anyhow::Result;
use elman::files::{Dtype, Real, Sink};
use elman::{Element, Random};
use ndarray::{ArrayD, IxDyn};

use crate::args::Randn;
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::pipeline::output::{
    check_shape as check_table, overwrite, refuse_terminal, shown, tensor_format,
};
use crate::report::{Notes, Report, TensorLine};
use crate::rng::Rng;

/// Most axes that NumPy can read.
const MAX_AXES: usize = 64;

pub(crate) fn randn(args: &Randn) -> Result<()> {
    check_shape(&args.shape, args.dtype)?;
    match args.dtype {
        Dtype::F32 => randn_as::<f32>(args),
        Dtype::F64 => randn_as::<f64>(args),
    }
}

fn randn_as<T: Element + Random + Real>(args: &Randn) -> Result<()> {
    let stdout_taken = args.output == Path::new("-");
    if stdout_taken {
        refuse_terminal("-o", "x.npy")?;
    }
    let format = tensor_format(&args.output, "-o")?;
    check_table(&args.output, ("randn", "-o"), &args.shape)?;
    Rng::refuse_shared(&args.rng, &args.output)?;
    let mut rng = Rng::open(&args.rng)?;
    let mut sink = Sink::open(&args.output, overwrite(&args.report))?;
    let seed = rng.seed(&args.rng);
    let mut values = zeros::<T>(&args.shape)?;
    rng.generator.normal(values.as_slice_mut().unwrap_or_default());
    sink.write(|file| format.write(file, &values.view()))?;
    sink.commit()?;
    rng.save()?;

    let tensor = TensorLine {
        name: "randn".to_owned(),
        shape: args.shape.clone(),
        axes: Vec::new(),
        dtype: args.dtype.to_string(),
        file: Some(shown(&args.output)),
    };
    let report = Report {
        command: "randn",
        layer: None,
        weights: None,
        seed,
        rng: args.rng.rng.as_deref().map(shown),
        tensors: vec![tensor],
        run: None,
        notes: Notes::default(),
    };
    report.print(&args.report, stdout_taken)
}

/// Refuses a shape that no reader of the file would take.
fn check_shape(shape: &[usize], dtype: Dtype) -> Result<()> {
    let usage = |message| with_hint(Usage(message), hint::help());
    if shape.len() > MAX_AXES {
        let got = shape.len();
        return Err(usage(format!(
            "--shape: expected at most {MAX_AXES} axes, as NumPy reads them, got {got}"
        )));
    }
    let size = match dtype {
        Dtype::F32 => size_of::<f32>(),
        Dtype::F64 => size_of::<f64>(),
    };
    // NumPy and ndarray leave empty axes out when they count. A tensor without them, though as large,
    // is a question of memory.
    let sizes = shape.iter().copied().filter(|&size| size > 0);
    let bytes = sizes.clone().try_fold(size, usize::checked_mul);
    let countable = bytes.is_some_and(|bytes| isize::try_from(bytes).is_ok());
    if !countable && sizes.count() < shape.len() {
        let most = isize::MAX;
        return Err(usage(format!(
            "--shape: expected at most {most} bytes where empty axes do not count, got {shape:?}"
        )));
    }
    Ok(())
}

/// A tensor of zeros, or an error where the machine has no room for it.
fn zeros<T: Element>(shape: &[usize]) -> Result<ArrayD<T>> {
    Ok(ArrayD::from_shape_vec(IxDyn(shape), elman::zeros(shape, "randn")?)?)
}
