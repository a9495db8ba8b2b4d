//! `rnn run`: the forward pass.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use elman::io::{Dtype, Real, Source, TensorFile};
use elman::{Element, Kernel, Mode, Output, Random, Rnn};
use ndarray::ArrayD;

use crate::args::Run;
use crate::check;
use crate::failure::{Data, with_hint};
use crate::hint::CommandLine;
use crate::layer::{Weights, config_from_flags, fresh, note_dropout};
use crate::mismatch::{Places, explain};
use crate::outputs::{self, Axes, Outputs, Written, check_streams};
use crate::report::{Notes, Report, RunLine, TensorLine};
use crate::rng::Rng;
use crate::threads;

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
    let tensors = Tensors::<T>::read(args, input, &mut notes)?;
    let axes = Axes::new(rnn.config(), tensors.input.ndim());
    if args.check_finite {
        tensors.check_finite(&axes, &places)?;
    }
    let (result, ran) = forward(args, &rnn, &tensors, &mut rng, &mut notes)
        .map_err(|error| explain(error, rnn.config(), &places))?;
    if args.check_finite {
        check::all_finite("output", &result.output.view(), &axes.output)?;
        check::all_finite("h_n", &result.h_n.view(), &axes.state)?;
    }
    let written = outputs.write(&result)?;
    rng.save()?;

    let stdout_taken = written.stdout;
    let shapes = [tensors.input.shape(), result.h_n.shape(), result.output.shape()];
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
    [input, state, output]: [&[usize]; 3],
    dtype: Dtype,
    axes: &Axes,
    places: &Places,
    written: Written,
) -> Vec<TensorLine> {
    let line = |name: &str, axes: &[&'static str], shape: &[usize], file| TensorLine {
        name: name.to_owned(),
        shape: shape.to_vec(),
        axes: axes.to_vec(),
        dtype,
        file,
    };
    let h_0 = places.h_0.clone().unwrap_or("zeros".to_owned());
    vec![
        line("input", &axes.input, input, Some(places.input.clone())),
        line("h_0", &axes.state, state, Some(h_0)),
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

/// What goes into a forward pass.
struct Tensors<T> {
    input: ArrayD<T>,
    h_0: Option<ArrayD<T>>,
}

impl<T: Element + Real + Into<f64>> Tensors<T> {
    fn read(args: &Run, input: TensorFile, notes: &mut Notes) -> Result<Self> {
        let input = read(args, input, "input", notes)?;
        let h_0 = match &args.h0 {
            Some(h_0) => Some(read(args, TensorFile::open(&Source::parse(h_0))?, "h_0", notes)?),
            None => None,
        };
        Ok(Tensors { input, h_0 })
    }

    fn check_finite(&self, axes: &Axes, places: &Places) -> Result<()> {
        check::all_finite(&format!("{}: input", places.input), &self.input.view(), &axes.input)?;
        match (&self.h_0, &places.h_0) {
            (Some(h_0), Some(place)) => {
                check::all_finite(&format!("{place}: h_0"), &h_0.view(), &axes.state)
            }
            _ => Ok(()),
        }
    }
}

/// Reads a tensor as the layer's type. Integers and float16 are converted with a note; a float of the
/// other size is converted only where `--dtype` asks for it.
fn read<T: Real>(args: &Run, file: TensorFile, name: &str, notes: &mut Notes) -> Result<ArrayD<T>> {
    let (stored, place) = (file.header().stored, file.place().to_owned());
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
    Ok(file.read()?)
}

/// The forward pass itself, on its own threads.
fn forward<T: Element>(
    args: &Run,
    rnn: &Rnn<T>,
    tensors: &Tensors<T>,
    rng: &mut Rng,
    notes: &mut Notes,
) -> Result<(Output<T>, RunLine)> {
    let pool = threads::pool(args.threads, &mut notes.notes)?;
    if args.report.verbose {
        let (seq_len, batch) = match *tensors.input.shape() {
            [batch, seq_len, _] if rnn.config().batch_first => (seq_len, batch),
            [seq_len, batch, _] => (seq_len, batch),
            [seq_len, ..] => (seq_len, 1),
            [] => (1, 1),
        };
        notes.note(format!("plan: {}", rnn.plan(seq_len, batch, pool.current_num_threads())));
    }
    let mode = if args.train { Mode::Train(&mut rng.generator) } else { Mode::Eval };
    let h_0 = tensors.h_0.as_ref().map(|h_0| h_0.view());
    let start = Instant::now();
    let result = pool.install(|| rnn.forward(tensors.input.view(), h_0, mode))?;
    let ran = RunLine {
        train: args.train,
        kernel: rnn.kernel().name(),
        threads: pool.current_num_threads(),
        seconds: start.elapsed().as_secs_f64(),
    };
    Ok((result, ran))
}
