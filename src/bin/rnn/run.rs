//! `rnn run`: the forward pass.

use std::path::Path;

use anyhow::Result;
use elman::io::{Dtype, Real, Source, TensorFile};
use elman::{Element, Error, Kernel, Random, Rnn};
use ndarray::ArrayD;

use crate::args::Run;
use crate::check;
use crate::failure::{Data, with_hint};
use crate::hint::CommandLine;
use crate::layer::{Weights, config_from_flags, fresh, note_dropout};
use crate::mismatch::{Places, explain};
use crate::outputs::{self, Axes, Outputs, Written, check_streams};
use crate::pass::Pass;
use crate::report::{Notes, Report, TensorLine};
use crate::rng::Rng;

pub(crate) fn run(args: &Run) -> Result<()> {
    check_streams(args)?;
    for output in outputs::paths(args) {
        Rng::refuse_shared(&args.rng, &output)?;
    }
    // What cannot be written is better known before large files are read.
    let rng = Rng::open(&args.rng)?;
    let outputs = Outputs::open(args)?;
    let mut notes = Notes::default();
    let weights = match &args.weights {
        Some(path) => {
            if args.report.verbose {
                let kind = if Path::new(path).is_dir() { "folder" } else { ".npz archive" };
                notes.note(format!("{}: recognised as {kind}", Source::parse(path)));
            }
            Some(Weights::read(&Source::parse(path), args.dtype, &mut notes)?)
        }
        None => None,
    };
    let input = TensorFile::open(&Source::parse(&args.input))?;
    let of_weights = weights.as_ref().map(|weights| weights.dtype);
    match args.dtype.or(of_weights).unwrap_or_else(|| input.header().stored.natural()) {
        Dtype::F32 => run_as::<f32>(args, (rng, outputs), weights, input, notes),
        Dtype::F64 => run_as::<f64>(args, (rng, outputs), weights, input, notes),
    }
}

fn run_as<T: Element + Random + Real + Into<f64>>(
    args: &Run,
    (mut rng, outputs): (Rng, Outputs),
    weights: Option<Weights>,
    input: TensorFile,
    mut notes: Notes,
) -> Result<()> {
    let (seed, fresh) = (rng.seed(&args.rng), weights.is_none());
    let places = Places::new(args, weights.as_ref(), &input);
    let rnn = build::<T>(args, weights, &places, &mut rng, &mut notes)?;
    let rnn = rnn.with_kernel(args.kernel.unwrap_or_else(Kernel::best));
    let dropout = rnn.config().dropout > 0.0 && rnn.config().num_layers > 1;
    let seed = seed.filter(|_| fresh || (args.train && dropout));
    let axes = Axes::new(rnn.config(), input.header().shape.len());
    let explained = |error| explain(error, rnn.config(), &places);
    let sizes = rnn.check_input(&input.header().shape).map_err(|e| explained(e.into()))?;
    accept::<T>(args, &input, "input", &mut notes)?;
    let h_0 = read_h_0::<T>(args, &rnn, &axes, &places, &mut notes).map_err(explained)?;
    let pass = Pass { args, rnn: &rnn, axes: &axes, places: &places, sizes };
    let shapes = [places.input_shape.clone(), pass.state_shape(), pass.output_shape()];
    let (written, ran) = pass.run(input, h_0, outputs, &mut rng, &mut notes).map_err(explained)?;
    rng.save()?;

    let stdout_taken = written.stdout;
    let tensors = tensor_lines(shapes, T::DTYPE, &axes, &places, written);
    let report = Report {
        command: "run",
        layer: Some((rnn.config().clone(), T::DTYPE)),
        weights: places.weights,
        seed,
        rng: args.rng.rng.as_ref().map(|path| path.display().to_string()),
        tensors,
        run: Some(ran),
        notes,
    };
    report.print(&args.report, stdout_taken)
}

/// What the report says of each tensor. The shapes are those of the input, of the states, and of the
/// output.
fn tensor_lines(
    [input, state, output]: [Vec<usize>; 3],
    dtype: Dtype,
    axes: &Axes,
    places: &Places,
    written: Written,
) -> Vec<TensorLine> {
    let line = |name: &str, axes: &[&'static str], shape, file| TensorLine {
        name: name.to_owned(),
        shape,
        axes: axes.to_vec(),
        dtype,
        file,
    };
    let h_0 = places.h_0.clone().unwrap_or("zeros".to_owned());
    vec![
        line("input", &axes.input, input, Some(places.input.clone())),
        line("h_0", &axes.state, state.clone(), Some(h_0)),
        line("output", &axes.output, output, written.output),
        line("h_n", &axes.state, state, written.h_n),
    ]
}

/// The layer: with the weights that were given, else with fresh ones.
fn build<T: Element + Random + Real + Into<f64>>(
    args: &Run,
    weights: Option<Weights>,
    places: &Places,
    rng: &mut Rng,
    notes: &mut Notes,
) -> Result<Rnn<T>> {
    let config = match &weights {
        Some(weights) => weights.config(&args.layer, notes)?,
        // A tensor without axes is refused later, by the layer.
        None => {
            config_from_flags(&args.layer, Some(places.input_shape.last().copied().unwrap_or(1)))?
        }
    };
    note_dropout(&config, args.train, notes);
    let Some(weights) = weights else {
        // The one size that did not come from a flag is that of the input.
        return fresh(&config, &mut rng.generator).map_err(|error| explain(error, &config, places));
    };
    if let Some((name, index, value)) = weights.first_not_finite() {
        let found = format!(
            "{}: {name}: expected finite numbers, got {} at {index:?}",
            weights.place,
            check::word(value)
        );
        if args.check_finite {
            return Err(Data(found).into());
        }
        notes.warn(found);
    }
    weights.into_rnn(&config)
}

/// Reads `h_0`, where it was named, and checks its shape.
fn read_h_0<T: Element + Real + Into<f64>>(
    args: &Run,
    rnn: &Rnn<T>,
    axes: &Axes,
    places: &Places,
    notes: &mut Notes,
) -> Result<Option<ArrayD<T>>> {
    let (Some(h_0), Some(place)) = (&args.h0, &places.h_0) else { return Ok(None) };
    let file = TensorFile::open(&Source::parse(h_0))?;
    accept::<T>(args, &file, "h_0", notes)?;
    let time_axis = usize::from(rnn.config().batch_first);
    let batch = places.input_shape.get(1 - time_axis).copied();
    let expected = rnn.hidden_shape(batch.filter(|_| axes.input.len() == 3));
    let found = file.header().shape.clone();
    if found != expected {
        return Err(Error::HiddenShape { expected, found }.into());
    }
    let h_0 = file.read()?;
    if args.check_finite {
        check::all_finite(&format!("{place}: h_0"), &h_0.view(), &axes.state, &[])?;
    }
    Ok(Some(h_0))
}

/// Checks that a tensor is of the layer's type, or may become so. Integers and float16 are converted with a
/// note; a float of the other size is converted only where `--dtype` asks for it.
fn accept<T: Real>(args: &Run, file: &TensorFile, name: &str, notes: &mut Notes) -> Result<()> {
    let (stored, place) = (file.header().stored, file.place());
    if args.report.verbose {
        notes.note(format!("{place}: {name}: recognised as {}", file.recognised()));
    }
    if stored.natural() != T::DTYPE || !stored.is_computed() {
        if stored.is_computed() && args.dtype.is_none() {
            let message =
                format!("{place}: {name}: expected {}, as the layer is, got {stored}", T::DTYPE);
            let line = CommandLine::new().with("--dtype", Some(&T::DTYPE.to_string()));
            return Err(with_hint(Data(message), Some(line.to_string())));
        }
        notes.note(format!("{place}: {name}: {stored} converted to {}", T::DTYPE));
    }
    Ok(())
}
