//! `rnn randn`: a tensor of standard-normal numbers.

use anyhow::Result;
use elman::files::{Sink, is_standard_output};
use elman::{Element, Generator};
use ndarray::{ArrayD, IxDyn};

use crate::args::Randn;
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::pipeline::extent;
use crate::pipeline::output_path::{
    check_shape as check_table, refuse_terminal, shown, tensor_format,
};
use crate::progress;
use crate::report::{Notes, Report, TensorLine};
use crate::rng::Rng;

/// Numbers that are drawn before the progress is shown: some milliseconds.
const PIECE: usize = 1 << 20;
/// Maximum of axes in NumPy.
const MAX_AXES: usize = 64;

pub(crate) fn randn(args: &Randn) -> Result<()> {
    typed!(args.dtype, randn_as(args))
}

fn randn_as<T: Element>(args: &Randn) -> Result<()> {
    check_shape(&args.shape, size_of::<T>())?;
    let stdout_taken = is_standard_output(&args.output);
    if stdout_taken {
        refuse_terminal(|| hint::set("-o", "x.npy"))?;
    }
    let format = tensor_format(&args.output, "-o")?;
    check_table(&args.output, ("randn", "-o"), &args.shape)?;
    let mut rng = Rng::open(args.rng.seed, args.rng.rng.as_deref(), [&args.output])?;
    let mut sink = Sink::open(&args.output, args.report.overwrite())?;
    let mut values: Vec<T> = elman::zeros(&args.shape, "randn")?;
    draw(rng.generator()?, &mut values);
    let values = ArrayD::from_shape_vec(IxDyn(&args.shape), values)?;
    let bar = progress::transfer(extent::bytes::<T>(&args.shape));
    sink.write(|file| format.write(file, &values.view()))?;
    drop(bar);
    let (seed, rng) = (rng.seed, rng.save([sink.into()])?);

    let file = Some(shown(&args.output));
    let tensor = TensorLine::new("randn", (&args.shape, &[]), args.dtype.to_string(), file);
    let (tensors, notes) = (vec![tensor], Notes::new(args.report.form()));
    let report = Report { command: "randn", seed, rng, tensors, notes, ..Report::default() };
    report.print(stdout_taken)
}

/// Draws the numbers piece by piece, which are those of a single call: each piece is of whole blocks of 16, and none is
/// shorter than a block.
fn draw<T: Element>(generator: &mut Generator, mut rest: &mut [T]) {
    let bar = progress::things(rest.len(), "numbers");
    while rest.len() >= 2 * PIECE {
        let (piece, others) = rest.split_at_mut(PIECE);
        generator.normal(piece);
        bar.inc(PIECE as u64);
        rest = others;
    }
    generator.normal(rest);
    bar.display.finish_and_clear();
}

/// Refuses a shape that no reader of the file would accept. One number has `size` bytes.
fn check_shape(shape: &[usize], size: usize) -> Result<()> {
    let usage = |message| Err(with_hint(Usage(message), hint::help()));
    if shape.len() > MAX_AXES {
        let found = shape.len();
        return usage(format!(
            "--shape: expected at most {MAX_AXES} axes, as NumPy reads them, got {found}"
        ));
    }
    // NumPy and ndarray ignore empty axes when they count bytes. A tensor without empty axes that is too large
    // fails as a lack of memory.
    let mut sizes = shape.iter().copied().filter(|&size| size > 0);
    let bytes = sizes.try_fold(size, usize::checked_mul);
    if bytes.is_none_or(|bytes| isize::try_from(bytes).is_err()) && shape.contains(&0) {
        let most = isize::MAX;
        return usage(format!(
            "--shape: expected at most {most} bytes where empty axes do not count, got {shape:?}"
        ));
    }
    Ok(())
}
