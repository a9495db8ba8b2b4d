//! `rnn run`: the forward pass.

use anyhow::Result;
use elman::io::{Dtype, Real, Source, StoredType, TensorFile};
use elman::{Element, Error, Kernel, PackedSequence, Random, Rnn, pack_sequence};
use ndarray::ArrayD;

use crate::args::Run;
use crate::check;
use crate::failure::{Data, Usage, with_hint};
use crate::hint::CommandLine;
use crate::layer::{Weights, config_from_flags, fresh, note_dropout};
use crate::lengths;
use crate::mismatch::{Places, explain};
use crate::outputs::{self, Outputs, check_streams};
use crate::pass::{Given, Pass};
use crate::report::{Notes, Report, TensorLine};
use crate::results::{Axes, Layout};
use crate::rng::Rng;
use crate::sequences::{self, Sequences};

pub(crate) fn run(args: &Run) -> Result<()> {
    check_streams(args)?;
    for output in outputs::paths(args) {
        Rng::refuse_shared(&args.rng, &output)?;
    }
    // What cannot be written is better known before large files are read: of the input, the headers are.
    let rng = Rng::open(&args.rng)?;
    let outputs = Outputs::open(args)?;
    let mut notes = Notes::default();
    let weights = match &args.weights {
        Some(path) => {
            let weights = Weights::read(&args.of_weights, path, args.dtype, &mut notes)?;
            if args.report.verbose {
                notes.note(weights.recognised());
            }
            Some(weights)
        }
        None => None,
    };
    let input = Sequences::open(&Source::parse(&args.input), &args.columns)?;
    let outputs = outputs.of(args, &input)?;
    let of_weights = weights.as_ref().map(|weights| weights.dtype);
    match args.dtype.or(of_weights).unwrap_or_else(|| input.natural()) {
        Dtype::F32 => run_as::<f32>(args, (rng, outputs), weights, input, notes),
        Dtype::F64 => run_as::<f64>(args, (rng, outputs), weights, input, notes),
    }
}

fn run_as<T: Element + Random + Real + Into<f64>>(
    args: &Run,
    (mut rng, mut outputs): (Rng, Outputs),
    weights: Option<Weights>,
    input: Sequences,
    mut notes: Notes,
) -> Result<()> {
    let (seed, fresh) = (rng.seed(&args.rng), weights.is_none());
    let places = Places::new(args, weights.as_ref(), &input);
    let rnn = build::<T>(args, weights, &places, &mut rng, &mut notes)?;
    let rnn = rnn.with_kernel(args.kernel.unwrap_or_else(Kernel::best));
    let dropout = rnn.config().dropout > 0.0 && rnn.config().num_layers > 1;
    let seed = seed.filter(|_| fresh || (args.train && dropout));
    let explained = |error| explain(error, rnn.config(), &places);
    let (given, layout, sizes) = given(args, &rnn, input, &mut notes).map_err(explained)?;
    let axes = Axes::new(rnn.config(), layout);
    let pass = Pass { args, rnn: &rnn, axes: &axes, layout, places: &places, sizes };
    outputs.check_shapes(&pass.shapes())?;
    let h_0 = read_h_0(&pass, &mut notes).map_err(explained)?;
    let (mut results, ran) =
        pass.run(given, h_0.as_ref(), &mut outputs, &mut rng, &mut notes).map_err(explained)?;
    let state_shape = results.h_n.shape().to_vec();
    if args.split_directions {
        results.split_directions(rnn.config());
    }
    let written = outputs.write(&results)?;
    rng.save()?;

    let stdout_taken = written.stdout;
    let mut tensors = input_lines(&places, T::DTYPE, &axes, &state_shape);
    tensors.extend(results.lines(T::DTYPE, &axes, args.split_directions, &written));
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

/// What the report says of what went in.
fn input_lines(
    places: &Places,
    dtype: Dtype,
    axes: &Axes,
    state_shape: &[usize],
) -> Vec<TensorLine> {
    let line = |name: &str, axes: &[&'static str], shape: &[usize], file: &str| {
        let (name, file) = (name.to_owned(), Some(file.to_owned()));
        TensorLine {
            name,
            shape: shape.to_vec(),
            axes: axes.to_vec(),
            dtype: dtype.to_string(),
            file,
        }
    };
    vec![
        line("input", &axes.input, &places.input_shape, &places.input),
        line("h_0", &axes.state, state_shape, places.h_0.as_deref().unwrap_or("zeros")),
    ]
}

/// The input as the layer takes it, how its axes lie, and L and N.
fn given<T: Element + Real>(
    args: &Run,
    rnn: &Rnn<T>,
    input: Sequences,
    notes: &mut Notes,
) -> Result<(Given<T>, Layout, (usize, usize))> {
    if let Sequences::Tensor(file) = &input {
        // Before anything else is said about it: its shape explains most mistakes.
        rnn.check_input(&file.header().shape)?;
    }
    input.warn(notes);
    for (place, header, recognised) in input.headers() {
        accept::<T>(args, (&place, header.stored, recognised), "input", notes)?;
    }
    if let (true, Some(_)) = (input.is_archive(), &args.lengths) {
        let message = format!(
            "{}: expected a padded tensor with --lengths, got sequences that have their own",
            input.place()
        );
        let line = CommandLine::new().without("--lengths");
        return Err(with_hint(Usage(message), Some(line.to_string())));
    }
    let packed = |packed: &PackedSequence<T>| (packed.batch_sizes.len(), packed.batch());
    Ok(match input {
        Sequences::Tensor(file) => {
            let shape = &file.header().shape;
            let sizes = rnn.check_input(shape)?;
            let layout = if shape.len() == 2 { Layout::Unbatched } else { Layout::Batched };
            let lengths = args.lengths.as_ref().map(|text| lengths::read(text, sizes.1, sizes.0));
            (Given::Tensor(file, lengths.transpose()?), layout, sizes)
        }
        Sequences::Packed(members, _) => {
            let own = sequences::read_packed(members)?;
            let sizes = packed(&own);
            (Given::Packed(own), Layout::Packed, sizes)
        }
        Sequences::Ragged(members, _) => {
            let (names, own): (Vec<_>, Vec<_>) =
                sequences::read_ragged(members)?.into_iter().unzip();
            let views: Vec<_> = own.iter().map(|own| own.view()).collect();
            let own = pack_sequence(&views, false)?;
            let sizes = packed(&own);
            (Given::Ragged(names, own), Layout::Packed, sizes)
        }
    })
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
    pass: &Pass<'_, T>,
    notes: &mut Notes,
) -> Result<Option<ArrayD<T>>> {
    let Pass { args, rnn, axes, places, .. } = pass;
    let (Some(h_0), Some(place)) = (&args.h0, &places.h_0) else { return Ok(None) };
    let file = TensorFile::open(&Source::parse(h_0))?;
    let stored = file.header().stored;
    accept::<T>(args, (file.place(), stored, file.recognised()), "h_0", notes)?;
    let batch = (pass.layout != Layout::Unbatched).then_some(pass.sizes.1);
    let expected = rnn.hidden_shape(batch);
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
fn accept<T: Real>(
    args: &Run,
    (place, stored, recognised): (&str, StoredType, String),
    name: &str,
    notes: &mut Notes,
) -> Result<()> {
    if args.report.verbose {
        notes.note(format!("{place}: {name}: recognised as {recognised}"));
    }
    // The numbers of a text are of the type that they are read as.
    if stored == StoredType::Text {
        return Ok(());
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
