//! `rnn stream`: an endless stream of arrays through a pipe, with the hidden state carried over.

mod steps;

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use elman::files::{Accepts, Lock, Source, open};
use elman::{Checkpoint, Config, Element, Error, Model, ModelCheckpoint, ModelConfig, Pool, Rnn};
use ndarray::ArrayD;

use crate::args::Stream;
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::layer;
use crate::model_flags::{ModelFlags, pool_name};
use crate::modules;
use crate::numbers::{all_finite, conversion};
use crate::pipeline::answers::{Answering, StreamForm};
use crate::pipeline::beside::Beside;
use crate::pipeline::carried::Carried;
use crate::pipeline::kept::refuse_weights;
use crate::pipeline::state::{StateFile, check_shape};
use crate::report::{self, Notes};
use crate::start::Start;
use crate::threads;

use steps::Steps;

pub(crate) fn stream(args: &Stream) -> Result<()> {
    check_inputs(args)?;
    // Only one process carries a state. The lock is held until the end.
    let _lock = args.state.as_deref().map(Lock::take).transpose()?;
    let mut notes = Notes::default();
    let flags = ModelFlags::read(&args.model)?;
    let weights = Source::parse(&args.weights).open()?;
    let state = args.state.as_deref().map(|path| ("the state", "--state", "state.npz", path));
    let stdout = ("the outputs", "", "outputs.npy", Path::new("-"));
    refuse_weights(weights.id(), state.into_iter().chain([stdout]))?;
    let weights = layer::read_model(weights, &args.of_weights, args.dtype, &flags, &mut notes)?;
    let form = form(args, &weights.config)?;
    check_terminals(&form, &weights.config)?;
    typed!(weights.layer.dtype, stream_as(args, weights, form, notes))
}

fn stream_as<T: Element>(
    args: &Stream,
    mut weights: ModelCheckpoint,
    form: StreamForm,
    mut notes: Notes,
) -> Result<()> {
    let carries = carries(args, &form);
    let config = check_layer(args, &weights, carries.then(|| form.word()), &mut notes)?;
    let (described, around) = (layer::described(&mut weights.layer), weights.config.clone());
    let first = Start::new(Some(&described));
    first.refuse_lengths()?;
    let model = layer::build::<T>(weights, &config, args.engine.kernel)?;
    let pool = threads::pool(args.engine.threads, &mut notes.notes)?;
    if args.verbose > 0 {
        let (config, kernel) = (model.rnn().config(), model.rnn().kernel().name());
        let threads = pool.current_num_threads();
        notes.notes.push(format!("{config}, {}, kernel {kernel}, threads {threads}", T::DTYPE));
    }
    let carried =
        start(args, &model, (&described.place, &first), (carries, form.of_one()), &mut notes)?;
    // An endless stream has no report.
    notes.print_said();
    notes.lines().for_each(|text| say(args, &text));

    let (start, word) = (Instant::now(), form.word());
    let answering = Answering::new(form, &model, &around)?;
    let mut steps = Steps { args, model: &model, carried, answering };
    // Everything runs on one thread of the pool: a short array takes less time than waking a thread.
    let ended = pool.install(|| match around.vocabulary.as_ref() {
        Some(vocabulary) => steps.text(vocabulary),
        None if args.csv => steps.table(),
        None if args.frames => steps.frames(),
        None => steps.arrays(&described),
    });
    // After an error in the input, the arrays that have been answered still count.
    ended.and(steps.carried.save())?;
    let tally = steps.carried.tally(word);
    say(args, &format!("{tally}, {:.6} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// The form of the input: a model with a vocabulary takes text.
fn form(args: &Stream, around: &ModelConfig) -> Result<StreamForm> {
    let flags = [args.table.flags(), args.written.flags()].concat();
    if let Some(flag) = flags.first().filter(|_| !args.csv) {
        let message = format!("expected --csv with {flag}, got none");
        return Err(with_hint(Usage(message), hint::with("--csv")));
    }
    let form = match (args.csv, args.frames) {
        (true, _) => StreamForm::Table(Beside::new(&args.written)),
        (_, true) => StreamForm::Frames,
        _ if around.vocabulary.is_some() => return Ok(StreamForm::Text),
        _ => return Ok(StreamForm::Arrays),
    };
    if around.vocabulary.is_some() {
        let flag = if args.csv { "--csv" } else { "--frames" };
        let message = format!("expected text, because the model has a vocabulary, got {flag}");
        return Err(with_hint(Usage(message), hint::without(&[flag])));
    }
    Ok(form)
}

/// Whether the state goes from array to array. A line of text is a sequence of its own, unless a state is named.
fn carries(args: &Stream, form: &StreamForm) -> bool {
    let named = args.h0.is_some() || args.state.is_some();
    !args.independent && (named || !matches!(form, StreamForm::Text))
}

/// Checks the weights of a layer against everything that is typed, and says what was assumed. Returns the configuration
/// that they have together. `carrying` is the word for the inputs if the state goes from one to the next.
fn check_layer(
    args: &Stream,
    weights: &ModelCheckpoint,
    carrying: Option<&str>,
    notes: &mut Notes,
) -> Result<Config> {
    let config = layer::merged_config(&weights.layer, &args.layer)?;
    layer::assume(&weights.layer, &args.layer, &["nonlinearity"], args.of_weights.strict, notes)?;
    modules::note_modules(&weights.layer, &weights.config, notes);
    if let Some(word) = carrying {
        refuse_reverse(&config, &weights.layer, word)?;
        if let pool @ (Pool::Mean | Pool::Max) = weights.config.pool {
            let message = format!(
                "expected --independent with --pool {}, which is over a whole sequence, got none",
                pool_name(pool)
            );
            return Err(with_hint(Usage(message), hint::whole_sequences(word)));
        }
    }
    layer::check_finite(weights, args.check_finite, notes)?;
    Ok(config)
}

/// The state to begin with: the saved one, `--h0`, or zeros.
fn start<'a, T: Element>(
    args: &Stream,
    model: &'a Model<T>,
    (weights, first): (&str, &Start),
    (carries, of_one): (bool, Option<&str>),
    notes: &mut Notes,
) -> Result<Carried<'a, T>> {
    let rnn = model.rnn();
    let file = args.state.as_deref().map(|path| StateFile::open(path, rnn, weights)).transpose()?;
    let saved = file.as_ref().map(|file| file.load(rnn, of_one)).transpose()?.flatten();
    let place = file.as_ref().map(|file| file.place.clone()).unwrap_or_default();
    let (start, count) = match (saved, &args.h0) {
        (Some(_), Some(h_0)) => {
            let h_0 = Source::parse(h_0);
            let message = format!("{place}: expected no --h0 where a state was saved, got {h_0}");
            return Err(with_hint(Usage(message), hint::without(&["--h0"])));
        }
        (Some((h_n, count)), None) => {
            check_finite(args, &place, "h_n", &h_n)?;
            if args.verbose > 0 {
                notes.notes.push(format!("{place}: goes on after {count} arrays"));
            }
            (Some((h_n, place)), count)
        }
        (None, Some(path)) => {
            notes.notes.extend(first.overridden());
            (Some(read_h_0(args, rnn, path, of_one, notes)?), 0)
        }
        (None, None) => (first.carried(!carries, notes)?, 0),
    };
    let saved = file.map(|file| (file, count, args.checkpoint));
    Ok(Carried::new(model, carries, start, saved))
}

/// Reads `--h0`, and returns its name too.
fn read_h_0<T: Element>(
    args: &Stream,
    rnn: &Rnn<T>,
    path: &OsStr,
    of_one: Option<&str>,
    notes: &mut Notes,
) -> Result<(ArrayD<T>, String)> {
    let file = open(&Source::parse(path), Accepts::Tensor)?.into_tensor()?;
    let place = file.place().to_owned();
    let name = format!("{place}: h_0");
    notes.notes.extend(conversion::<T>(args.dtype, &name, file.header().stored)?);
    check_shape(rnn, &file.header().shape, of_one, &name)
        .map_err(|error| with_hint(error, hint::zero_state()))?;
    let h_0 = file.read()?;
    check_finite(args, &place, "h_0", &h_0)?;
    Ok((h_0, place))
}

/// Refuses NaN and infinity in a tensor of an array, if that is asked for: before its answer, and before the state.
fn check_finite<T: Element>(
    args: &Stream,
    place: &str,
    name: &str,
    tensor: &ArrayD<T>,
) -> Result<()> {
    if !args.check_finite {
        return Ok(());
    }
    all_finite(&format!("{place}: {name}"), &tensor.view(), &[], &[])
}

/// Checks that standard input has the arrays alone.
fn check_inputs(args: &Stream) -> Result<()> {
    let others = [Some(&args.weights), args.h0.as_ref()].into_iter().chain(args.model.files());
    if others.flatten().any(|path| path == "-") {
        let message = "expected only the arrays from stdin, got - for another input".to_owned();
        return Err(Usage(message).into());
    }
    if args.state.as_deref().is_some_and(|path| path == "-") {
        let message = "--state: expected a file, which is read and then replaced, got -".to_owned();
        return Err(with_hint(Usage(message), hint::set("--state", "state.npz")));
    }
    Ok(())
}

/// Refuses binary data from and to a terminal.
fn check_terminals(form: &StreamForm, around: &ModelConfig) -> Result<()> {
    if !form.is_text() && io::stdin().is_terminal() {
        let message = "stdin: expected arrays from a file or a pipe, got a terminal".to_owned();
        return Err(with_hint(Usage(message), hint::redirected("< inputs.npy > outputs.npy")));
    }
    if !form.has_text_answers(around) && io::stdout().is_terminal() {
        let what = "stdout: expected a file or a pipe for binary data, got a terminal".to_owned();
        return Err(with_hint(Usage(what), hint::redirected("> outputs.npy")));
    }
    Ok(())
}

/// Rejects bidirectional and reversed layers: their state cannot be carried.
fn refuse_reverse(config: &Config, weights: &Checkpoint, word: &str) -> Result<()> {
    let bidirectional = config.bidirectional;
    if !bidirectional && !weights.reversed {
        return Ok(());
    }
    let error = anyhow::Error::from(Error::Carried { bidirectional });
    Err(with_hint(error.context(weights.place.clone()), hint::whole_sequences(word)))
}

fn say(args: &Stream, line: &str) {
    if !args.quiet {
        report::say(&format!("{line}\n"));
    }
}
