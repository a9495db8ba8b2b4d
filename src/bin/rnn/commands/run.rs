//! `rnn run`: the forward pass.

use anyhow::Result;
use elman::files::{Dtype, Header, Members, Real, Source, StoredType, TensorFile};
use elman::{Element, Error, Kernel, PackedSequence, Random, Rnn, pack_sequence};
use ndarray::ArrayD;

use crate::args::Run;
use crate::conversion::conversion;
use crate::explain::shapes::{Places, explain};
use crate::failure::Data;
use crate::finite;
use crate::layer::{Weights, config_from_flags, fresh, note_dropout};
use crate::pipeline::held::{self, INPUT_AND_OUTPUT, Row};
use crate::pipeline::input::{self, Sequences};
use crate::pipeline::lengths::{self, Padded};
use crate::pipeline::output::{self, Outputs, check_streams, shown};
use crate::pipeline::padding;
use crate::pipeline::pass::{Given, Pass};
use crate::pipeline::results::{Axes, Layout};
use crate::report::{Notes, Report, TensorLine};
use crate::rng::Rng;

pub(crate) fn run(args: &Run) -> Result<()> {
    check_streams(args)?;
    // What cannot be written is better known before large files are read: of the input, the headers are.
    let rng = Rng::open(&args.rng, output::paths(args))?;
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
    let input = open_input(args)?;
    let outputs = outputs.of(args, &input)?;
    let of_weights = weights.as_ref().map(|weights| weights.dtype);
    match args.dtype.or(of_weights).unwrap_or_else(|| input.natural()) {
        Dtype::F32 => run_as::<f32>(args, (rng, outputs), weights, input, notes),
        Dtype::F64 => run_as::<f64>(args, (rng, outputs), weights, input, notes),
    }
}

/// Opens the input. An archive of one tensor is that tensor, but where the output is an archive too.
fn open_input(args: &Run) -> Result<Sequences> {
    let source = Source::parse(&args.input);
    let input = Sequences::open(&source, &args.columns)?;
    let archive = args.output.as_ref().and_then(|output| output.extension());
    let of_one = args.lengths.is_none() && archive.is_some_and(|extension| extension == "npz");
    let input = if of_one { input.of_one(&source) } else { input };
    padding::check(args, &input)?;
    Ok(input)
}

fn run_as<T: Element + Random + Real + Into<f64>>(
    args: &Run,
    (mut rng, mut outputs): (Rng, Outputs),
    weights: Option<Weights>,
    input: Sequences,
    mut notes: Notes,
) -> Result<()> {
    let (seed, fresh) = (rng.seed, weights.is_none());
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
        rng: args.rng.rng.as_deref().map(shown),
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
    let sizes = |packed: &PackedSequence<T>| (packed.batch_sizes.len(), packed.batch());
    Ok(match input {
        Sequences::Tensor(file) => {
            let shape = &file.header().shape;
            let sizes = rnn.check_input(shape)?;
            let layout = if shape.len() == 2 { Layout::Unbatched } else { Layout::Batched };
            (Given::Tensor(file, read_lengths(args, rnn, sizes, layout)?), layout, sizes)
        }
        Sequences::Packed(members, header) => {
            let own = input::read_packed(members, |steps, batch| {
                let padded = args.total_length.unwrap_or(steps).saturating_mul(batch);
                let rows = header.shape.first().copied().unwrap_or(0);
                let bytes = Row::new(rnn, args).packed(rows, padded);
                held::name(INPUT_AND_OUTPUT, bytes, &args.report, notes);
            })?;
            lengths::check_total(&own.lengths()?, args.total_length)?;
            let sizes = sizes(&own);
            (Given::Packed(own), Layout::Packed, sizes)
        }
        Sequences::Ragged(members, headers) => {
            let (names, own) = read_ragged(args, rnn, members, &headers, notes)?;
            let sizes = sizes(&own);
            (Given::Ragged(names, own), Layout::Packed, sizes)
        }
    })
}

/// Reads sequences of their own lengths, and packs them.
fn read_ragged<T: Element + Real>(
    args: &Run,
    rnn: &Rnn<T>,
    members: Members,
    headers: &[Header],
    notes: &mut Notes,
) -> Result<(Vec<String>, PackedSequence<T>)> {
    let own: Vec<_> = headers.iter().map(|header| header.shape[0]).collect();
    lengths::check_total(&own, args.total_length)?;
    let total = args.total_length.or(own.iter().copied().max()).unwrap_or(0);
    let padded = own.len().saturating_mul(total);
    let bytes = Row::new(rnn, args).ragged(held::sum(own.iter().copied()), padded);
    held::name(INPUT_AND_OUTPUT, bytes, &args.report, notes);
    let (names, own): (Vec<_>, Vec<_>) = input::read_ragged(members)?.into_iter().unzip();
    let views: Vec<_> = own.iter().map(|own| own.view()).collect();
    Ok((names, pack_sequence(&views, false)?))
}

/// Reads `--lengths` for a tensor of L and N, where they were named.
fn read_lengths<T: Element>(
    args: &Run,
    rnn: &Rnn<T>,
    (steps, batch): (usize, usize),
    layout: Layout,
) -> Result<Option<Vec<usize>>> {
    let Some(text) = &args.lengths else { return Ok(None) };
    let batch_first = rnn.config().batch_first;
    let batched = layout == Layout::Batched;
    let lengths = lengths::read(text, &Padded { batch, steps, batch_first, batched })?;
    lengths::check_total(&lengths, args.total_length)?;
    Ok(Some(lengths))
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
            finite::word(value)
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
        finite::all_finite(&format!("{place}: h_0"), &h_0.view(), &axes.state, &[])?;
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
    let name = format!("{place}: {name}");
    notes.notes.extend(conversion::<T>(args.dtype, &name, stored)?);
    Ok(())
}
