//! `rnn stream`: an endless stream of arrays through a pipe, with the hidden state carried over.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use elman::files::{Accepts, Answers, Arrays, Frames, Lock, Source, open};
use elman::{Checkpoint, Config, Element, Kernel, Output, Rnn, zeros};
use ndarray::{ArrayD, ArrayViewD};

use crate::args::Stream;
use crate::explain::hint;
use crate::explain::layer::hinted;
use crate::failure::{Data, Usage, with_hint};
use crate::layer;
use crate::numbers::{all_finite, conversion};
use crate::pipeline::carried::Carried;
use crate::pipeline::kept::refuse_weights;
use crate::pipeline::state::{StateFile, check_shape};
use crate::report::{self, Notes};
use crate::start::Start;
use crate::threads;

pub(crate) fn stream(args: &Stream) -> Result<()> {
    check_streams(args)?;
    // Only one process carries a state. The lock is held until the end.
    let _lock = args.state.as_deref().map(Lock::take).transpose()?;
    let mut notes = Notes::default();
    let prefix = args.of_weights.prefix.as_deref();
    let weights = Source::parse(&args.weights).open()?;
    let state = args.state.as_deref().map(|path| ("the state", "--state", "state.npz", path));
    let stdout = ("the outputs", "", "outputs.npy", Path::new("-"));
    refuse_weights(weights.id(), state.into_iter().chain([stdout]))?;
    let weights = layer::read(weights, prefix, args.dtype, &mut notes)?;
    typed!(weights.dtype, stream_as(args, weights, notes))
}

fn stream_as<T: Element>(args: &Stream, mut weights: Checkpoint, mut notes: Notes) -> Result<()> {
    let config = layer::merged_config(&weights, &args.layer)?;
    layer::assume(&weights, &args.layer, &["nonlinearity"], args.strict, &mut notes)?;
    layer::note_modules(&weights, false, &mut notes);
    refuse_reverse(args, &config, &weights)?;
    layer::check_finite(&weights, args.check_finite, &mut notes)?;
    let place = weights.place.clone();
    let described = layer::described(&mut weights);
    let first = Start::new(Some(&weights));
    first.refuse_lengths()?;
    let rnn = weights.into_rnn::<T>(config.clone()).map_err(|error| hinted(error, &config))?;
    let rnn = rnn.with_kernel(args.engine.kernel.unwrap_or_else(Kernel::best));
    let pool = threads::pool(args.engine.threads, &mut notes.notes)?;
    if args.verbose > 0 {
        let (kernel, threads) = (rnn.kernel().name(), pool.current_num_threads());
        notes.notes.push(format!("{config}, {}, kernel {kernel}, threads {threads}", T::DTYPE));
    }
    let mut carried = start(args, &rnn, (&place, &first), &mut notes)?;
    // An endless stream has no report.
    notes.print_said();
    notes.lines().for_each(|text| say(args, &text));

    let start = Instant::now();
    // Everything runs on one thread of the pool: a short array takes less time than waking a thread.
    let ended = pool.install(|| {
        if args.frames {
            frames(args, &config, &mut carried)
        } else {
            arrays(args, &described, &mut carried)
        }
    });
    // After an error in the input, the arrays that have been answered still count.
    ended.and(carried.save())?;
    let tally = carried.tally(if args.frames { "frame" } else { "array" });
    say(args, &format!("{tally}, {:.6} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// The state to begin with: the saved one, `--h0`, or zeros.
fn start<'a, T: Element>(
    args: &Stream,
    rnn: &'a Rnn<T>,
    (weights, first): (&str, &Start),
    notes: &mut Notes,
) -> Result<Carried<'a, T>> {
    let file = args.state.as_deref().map(|path| StateFile::open(path, rnn, weights)).transpose()?;
    let saved = file.as_ref().map(|file| file.load(rnn, args.frames)).transpose()?.flatten();
    let place = file.as_ref().map(|file| file.place.clone()).unwrap_or_default();
    let (start, count) = match (saved, &args.h0) {
        (Some(_), Some(h_0)) => {
            let h_0 = Source::parse(h_0);
            let message = format!("{place}: expected no --h0 where a state was saved, got {h_0}");
            return Err(with_hint(Usage(message), hint::without(&["--h0"])));
        }
        (Some((h_n, count)), None) => {
            check_finite(args, &place, "h_n", &h_n.view())?;
            if args.verbose > 0 {
                notes.notes.push(format!("{place}: goes on after {count} arrays"));
            }
            (Some((h_n, place)), count)
        }
        (None, Some(path)) => {
            notes.notes.extend(first.overridden());
            (Some(read_h_0(args, rnn, path, notes)?), 0)
        }
        (None, None) => (first.carried(args.independent, notes)?, 0),
    };
    let saved = file.map(|file| (file, count, args.checkpoint));
    Ok(Carried::new(rnn, !args.independent, start, saved))
}

/// Reads `--h0`, and returns its name too.
fn read_h_0<T: Element>(
    args: &Stream,
    rnn: &Rnn<T>,
    path: &OsStr,
    notes: &mut Notes,
) -> Result<(ArrayD<T>, String)> {
    let file = open(&Source::parse(path), Accepts::Tensor)?.into_tensor()?;
    let place = file.place().to_owned();
    let name = format!("{place}: h_0");
    notes.notes.extend(conversion::<T>(args.dtype, &name, file.header().stored)?);
    check_shape(rnn, &file.header().shape, args.frames, &name)
        .map_err(|error| with_hint(error, hint::zero_state()))?;
    let h_0 = file.read()?;
    check_finite(args, &place, "h_0", &h_0.view())?;
    Ok((h_0, place))
}

fn arrays<T: Element>(
    args: &Stream,
    weights: &Checkpoint,
    carried: &mut Carried<'_, T>,
) -> Result<()> {
    let (mut input, mut output) = (Arrays::stdin(), Answers::stdout()?);
    let (mut stored, mut assumed) = (None, false);
    while let Some(header) = input.header()? {
        let place = input.place();
        if !assumed && layer::has_two_readings(&header.shape, args.h0.is_some()) {
            let mut notes = Notes::default();
            layer::assume(weights, &args.layer, &["batch_first"], args.strict, &mut notes)?;
            notes.print_said();
            assumed = true;
        }
        if stored != Some(header.stored) {
            let (name, found) = (format!("{place}: input"), header.stored);
            if let Some(before) = stored.filter(|_| !args.independent) {
                let message =
                    format!("{name}: expected {before}, as in the arrays before it, got {found}");
                return Err(Data(message).into());
            }
            if let Some(note) = conversion::<T>(args.dtype, &name, found)? {
                say(args, &format!("note: {note}"));
            }
            stored = Some(found);
        }
        carried.check(&header, &place)?;
        let array = input.read::<T>(&header)?;
        check_finite(args, &place, "input", &array.view())?;
        let result = carried.step(array.view()).with_context(|| place.clone())?;
        check_answer(args, &place, &result)?;
        carried.answer(result.h_n, || output.array(&result.output.view()))?;
    }
    Ok(())
}

fn frames<T: Element>(args: &Stream, config: &Config, carried: &mut Carried<'_, T>) -> Result<()> {
    let input_size = config.input_size;
    let (mut input, mut output) = (Frames::stdin(input_size)?, Answers::stdout()?);
    let mut frame = ArrayD::from_shape_vec(vec![1, input_size], zeros(&[input_size], "a frame")?)?;
    loop {
        let read = input.read(frame.as_slice_mut().unwrap_or_default());
        carried.defer(input.may_be_text(), read.is_err());
        if !read? {
            return Ok(());
        }
        check_finite(args, &input.place(), "input", &frame.view())?;
        let result = carried.step(frame.view())?;
        check_answer(args, &input.place(), &result)?;
        carried.answer(result.h_n, || output.frame(&result.output.view()))?;
    }
}

/// Refuses NaN and infinity in a tensor of an array, if that is asked for: before its answer, and before the state.
fn check_finite<T: Element>(
    args: &Stream,
    place: &str,
    name: &str,
    tensor: &ArrayViewD<'_, T>,
) -> Result<()> {
    if !args.check_finite {
        return Ok(());
    }
    all_finite(&format!("{place}: {name}"), tensor, &[], &[])
}

fn check_answer<T: Element>(args: &Stream, place: &str, answer: &Output<T>) -> Result<()> {
    check_finite(args, place, "output", &answer.output.view())?;
    check_finite(args, place, "h_n", &answer.h_n.view())
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

/// Rejects bidirectional and reversed layers: their state cannot be carried.
fn refuse_reverse(args: &Stream, config: &Config, weights: &Checkpoint) -> Result<()> {
    let found = match (config.bidirectional, weights.reversed) {
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

fn say(args: &Stream, line: &str) {
    if !args.quiet {
        report::say(&format!("{line}\n"));
    }
}
