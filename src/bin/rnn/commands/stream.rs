//! `rnn stream`: arrays without end through a pipe, the hidden state carried over.

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use anyhow::Result;
use elman::files::{Answers, Arrays, Dtype, Frames, Header, Real, StoredType};
use elman::{Config, Element, Error, Kernel, Rnn, zeros};
use ndarray::ArrayD;

use crate::args::Stream;
use crate::conversion::conversion;
use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};
use crate::finite;
use crate::layer::Weights;
use crate::pipeline::carried::{Carried, step_axis};
use crate::report::Notes;
use crate::threads;

pub(crate) fn stream(args: &Stream) -> Result<()> {
    check_streams(args)?;
    let mut notes = Notes::default();
    let weights = Weights::read(&args.of_weights, &args.weights, args.dtype, &mut notes)?;
    match weights.dtype {
        Dtype::F32 => stream_as::<f32>(args, weights, notes),
        Dtype::F64 => stream_as::<f64>(args, weights, notes),
    }
}

fn stream_as<T: Element + Real + Into<f64>>(
    args: &Stream,
    weights: Weights,
    mut notes: Notes,
) -> Result<()> {
    let config = weights.config(&args.layer, &mut notes)?;
    refuse_reverse(args, &config, &weights)?;
    if let Some((name, index, value)) = weights.first_not_finite() {
        let (place, found) = (&weights.place, finite::word(value));
        notes.warn(format!("{place}: {name}: expected finite numbers, got {found} at {index:?}"));
    }
    let place = weights.place.clone();
    let rnn = weights.into_rnn::<T>(&config)?;
    let rnn = rnn.with_kernel(args.kernel.unwrap_or_else(Kernel::best));
    let pool = threads::pool(args.threads, &mut notes.notes)?;
    if args.verbose {
        let (kernel, threads) = (rnn.kernel().name(), pool.current_num_threads());
        notes.note(format!("{config}, {}, kernel {kernel}, threads {threads}", T::DTYPE));
    }
    let mut carried = Carried::start(args, &rnn, &place, &mut notes)?;
    say(args, &mut notes)?;

    let start = Instant::now();
    // All of it on one thread of the pool: a short array is done with sooner than a thread is woken.
    let ended = pool.install(|| {
        if args.frames { frames(&rnn, &mut carried) } else { arrays(args, &rnn, &mut carried) }
    });
    // Where the input went wrong, what has been answered still counts.
    ended.and(carried.save())?;
    print(args, &format!("{}, {:.6} s", carried.tally(), start.elapsed().as_secs_f64()))
}

/// Answers array after array.
fn arrays<T: Element + Real>(args: &Stream, rnn: &Rnn<T>, carried: &mut Carried<T>) -> Result<()> {
    let (mut input, mut output) = (Arrays::stdin(), Answers::stdout()?);
    let mut stored = None;
    while let Some(header) = input.header()? {
        if stored != Some(header.stored) {
            if let Some(note) = new_type::<T>(args, stored, &header, &input.place())? {
                print(args, &format!("note: {note}"))?;
            }
            stored = Some(header.stored);
        }
        carried.check(&header, rnn.config(), &input)?;
        let array = input.read::<T>(&header)?;
        let result = rnn
            .call(array.view(), carried.h_0())
            .map_err(|error| anyhow::Error::new(error).context(input.place()))?;
        let steps = header.shape[step_axis(&header, rnn.config())];
        carried.answer(result.h_n, steps, || output.array(&result.output.view()))?;
    }
    Ok(())
}

/// Answers frame after frame.
fn frames<T: Element + Real + Into<f64>>(rnn: &Rnn<T>, carried: &mut Carried<T>) -> Result<()> {
    let input_size = rnn.config().input_size;
    let (mut input, mut output) = (Frames::stdin(input_size)?, Answers::stdout()?);
    let mut frame = ArrayD::from_shape_vec(vec![1, input_size], zeros(&[input_size], "a frame")?)?;
    while input.read(frame.as_slice_mut().unwrap_or_default())? {
        let result = rnn.call(frame.view(), carried.h_0())?;
        carried.answer(result.h_n, 1, || output.frame(&result.output.view()))?;
    }
    Ok(())
}

/// What is to be said about arrays of a type that none before had.
fn new_type<T: Real>(
    args: &Stream,
    before: Option<StoredType>,
    header: &Header,
    place: &str,
) -> Result<Option<String>> {
    let (name, stored) = (format!("{place}: input"), header.stored);
    if let Some(before) = before.filter(|_| !args.independent) {
        let message =
            format!("{name}: expected {before}, as in the arrays before it, got {stored}");
        return Err(Data(message).into());
    }
    conversion::<T>(args.dtype, &name, stored)
}

/// Checks what standard input and output are asked to do, before anything is read.
fn check_streams(args: &Stream) -> Result<()> {
    if args.weights == "-" || args.h0.as_deref().is_some_and(|path| path == "-") {
        let message = "expected only the arrays from stdin, got - for another input".to_owned();
        return Err(Usage(message).into());
    }
    if args.state.as_deref().is_some_and(|path| path == "-") {
        let message = "--state: expected a file, which is read and then replaced, got -".to_owned();
        return Err(with_hint(Usage(message), hint::set("--state", "state.npz")));
    }
    if io::stdin().is_terminal() {
        let message = "stdin: expected arrays from a file or a pipe, got a terminal".to_owned();
        return Err(with_hint(Usage(message), hint::redirected("< inputs.npy > outputs.npy")));
    }
    if io::stdout().is_terminal() {
        let what = "stdout: expected a file or a pipe for binary data, got a terminal".to_owned();
        return Err(with_hint(Usage(what), hint::redirected("> outputs.npy")));
    }
    Ok(())
}

/// Refuses to carry the state of a layer that runs in reverse, also or only.
fn refuse_reverse(args: &Stream, config: &Config, weights: &Weights) -> Result<()> {
    let found = match (config.bidirectional, weights.is_reversed()) {
        _ if args.independent => return Ok(()),
        (true, _) => "expected one direction, got a bidirectional layer",
        (false, true) => "expected the forward direction, got a layer that runs in reverse",
        (false, false) => return Ok(()),
    };
    let message = format!(
        "{}: {found}, which cannot be carried from array to array: its reverse direction begins at the \
         last step, which is still to come",
        weights.place
    );
    Err(with_hint(Data(message), hint::whole_sequences()))
}

/// Says what there is to say so far; an endless stream has no end at which to say it.
fn say(args: &Stream, notes: &mut Notes) -> Result<()> {
    for text in notes.notes.drain(..) {
        print(args, &format!("note: {text}"))?;
    }
    for text in notes.warnings.drain(..) {
        print(args, &format!("warning: {text}"))?;
    }
    Ok(())
}

/// Prints a line beside the answers.
fn print(args: &Stream, line: &str) -> Result<()> {
    if args.quiet {
        return Ok(());
    }
    let written = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
    Ok(written.map_err(|source| Error::Write { place: "stderr".to_owned(), source })?)
}
