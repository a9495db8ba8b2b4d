//! `rnn generate`: text from a language model, token by token.

mod text;

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use elman::files::{OpenSource, Pending, Sink, Source, TensorFormat, is_standard_output};
use elman::{Element, Error, Generation, Model, ModelCheckpoint, Rnn, Sampler};
use ndarray::{ArrayD, IxDyn};

use crate::args::Generate;
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::language;
use crate::layer::described;
use crate::numbers::conversion;
use crate::pipeline::input::check_stdin;
use crate::pipeline::kept::refuse_weights;
use crate::pipeline::output_path::{shown, tensor_format};
use crate::progress;
use crate::report::{Notes, Report, RunLine, TensorLine};
use crate::rng::Rng;
use crate::start::{Start, open_tensor};

use text::{TextOutput, Wording};

pub(crate) fn generate(args: &Generate) -> Result<()> {
    let vocab = args.language.parts.vocab.as_ref();
    check_stdin([args.h0.as_ref(), Some(&args.language.weights), vocab])?;
    let mut notes = Notes::new(args.report.form());
    let rng = Rng::open(args.rng.seed, args.rng.rng.as_deref(), &args.hn)?;
    let state = args.hn.as_deref().map(|path| StateOutput::open(args, path)).transpose()?;
    let weights = Source::parse(&args.language.weights).open()?;
    refuse_own_weights(args, &weights)?;
    let verbose = args.report.verbose > 0;
    let weights = language::read(&args.language, weights, verbose, &mut notes)?;
    typed!(weights.layer.dtype, generate_as(args, weights, rng, state, notes))
}

fn generate_as<T: Element>(
    args: &Generate,
    mut weights: ModelCheckpoint,
    mut rng: Rng,
    state: Option<StateOutput>,
    mut notes: Notes,
) -> Result<()> {
    let layer = described(&mut weights.layer);
    let vocabulary = weights.config.vocabulary.clone();
    let model = language::load::<T>(&args.language, weights, None, &mut notes)?;
    let wording = Wording { vocabulary, count: model.check_language()?.num_embeddings() };
    let (prompt, stops) = (wording.prompt(&args.prompt)?, wording.stops(&args.stop)?);
    let start = Start::new(Some(&layer));
    let h_0 = initial_state(args, &model, &start, prompt.is_empty(), &mut notes)?;
    notes.print_said();
    let (rnn, place) = (model.rnn(), || layer.place.clone());
    let sampler = Sampler::new(args.temperature, args.top, wording.count).with_context(place)?;
    let began = Instant::now();
    let mut generation = Generation::new(&model, h_0.as_ref().map(|h_0| h_0.view()))?;
    prompt.iter().try_for_each(|&id| generation.pass(id))?;
    let mut output = TextOutput::stdout(&wording, stops)?;
    let drawn = draw(args, &layer.place, (&mut generation, sampler), &mut rng, &mut output)?;
    output.finish()?;
    let (seconds, h_n) = (began.elapsed().as_secs_f64(), generation.into_state());
    notes.notes.push(format!("tokens: {} of the prompt, {drawn} new", prompt.len()));
    notes.shorten(args.report.verbose == 0);
    let state = state.map(|state| state.write(&h_n)).transpose()?;
    let report = Report {
        command: "generate",
        layer: Some((rnn.config().clone(), T::DTYPE)),
        weights: Some(place()),
        seed: rng.seed.filter(|_| args.temperature > 0.0),
        rng: rng.save(state)?,
        tensors: states::<T>(args, &start, h_n.shape()),
        run: Some(RunLine { mode: "eval", kernel: rnn.kernel().name(), threads: 1, seconds }),
        values: None,
        notes,
    };
    report.print(true)
}

/// The states of the report.
fn states<T: Element>(args: &Generate, start: &Start, shape: &[usize]) -> Vec<TensorLine> {
    let h_0 = args.h0.as_ref().map(|path| Source::parse(path).to_string());
    let h_0 = h_0.or_else(|| start.name()).unwrap_or_else(|| "zeros".to_owned());
    let files = [("h_0", Some(h_0)), ("h_n", args.hn.as_deref().map(shown))];
    let axes = ["num_layers", "hidden_size"];
    let line = |(name, file)| TensorLine::new(name, (shape, &axes), T::DTYPE.to_string(), file);
    files.into_iter().map(line).collect()
}

/// Draws the new tokens and writes them, and returns their number.
fn draw<T: Element>(
    args: &Generate,
    place: &str,
    (generation, mut sampler): (&mut Generation<'_, T>, Sampler),
    rng: &mut Rng,
    output: &mut TextOutput<'_>,
) -> Result<usize> {
    let generator = rng.generator()?;
    // On a terminal, the text itself shows how far it is.
    let hidden = std::io::stdout().is_terminal();
    let bar = (!hidden).then(|| progress::things(args.steps, "tokens"));
    for step in 0..args.steps {
        let id = sampler.choose(generation.values(), generator);
        let id = id.with_context(|| format!("{place}: new token {step}"))?;
        let ended = output.add(id)?;
        generation.pass(id)?;
        if let Some(bar) = &bar {
            bar.inc(1);
        }
        if ended {
            return Ok(step + 1);
        }
    }
    Ok(args.steps)
}

/// The state before the first token: `--h0`, that of the model, or zeros.
fn initial_state<T: Element>(
    args: &Generate,
    model: &Model<T>,
    start: &Start,
    nothing_given: bool,
    notes: &mut Notes,
) -> Result<Option<ArrayD<T>>> {
    if let Some(path) = &args.h0 {
        notes.notes.extend(start.overridden());
        return read_h_0(args, model.rnn(), path, notes).map(Some);
    }
    if nothing_given {
        let message = "expected a token in --prompt, or a state to go on from in --h0, got neither";
        return Err(with_hint(Usage(message.to_owned()), hint::set("--prompt", "the")));
    }
    start.state(model.rnn(), None, notes)
}

/// Reads `--h0`, which may have an axis for a batch of one.
fn read_h_0<T: Element>(
    args: &Generate,
    rnn: &Rnn<T>,
    path: &OsStr,
    notes: &mut Notes,
) -> Result<ArrayD<T>> {
    let file = open_tensor(path)?;
    let name = format!("{}: h_0", file.place());
    notes.notes.extend(conversion::<T>(args.language.dtype, &name, file.header().stored)?);
    let (expected, found) = (rnn.hidden_shape(None), file.header().shape.clone());
    if found != expected && found != rnn.hidden_shape(Some(1)) {
        let error = Error::TensorShape { name, expected, found };
        return Err(with_hint(error, hint::zero_state()));
    }
    Ok(file.read()?.into_shape_with_order(IxDyn(&expected))?)
}

/// The file of `h_n`.
struct StateOutput {
    format: TensorFormat,
    sink: Sink,
}

impl StateOutput {
    fn open(args: &Generate, path: &Path) -> Result<Self> {
        if is_standard_output(path) {
            let message = "expected a file for h_n beside the text on stdout, got -".to_owned();
            return Err(with_hint(Usage(message), hint::set("--hn", "h_n.npy")));
        }
        let format = tensor_format(path, "--hn")?;
        Ok(StateOutput { format, sink: Sink::open(path, args.report.overwrite())? })
    }

    fn write<T: Element>(mut self, h_n: &ArrayD<T>) -> Result<Pending> {
        self.sink.write(|file| self.format.write(file, &h_n.view()))?;
        Ok(self.sink.into())
    }
}

/// Rejects outputs that are the weights.
fn refuse_own_weights(args: &Generate, weights: &OpenSource) -> Result<()> {
    let state = args.hn.as_deref().map(|path| ("h_n", "--hn", "h_n.npy", path));
    let rng = args.rng.rng.as_deref().map(|path| ("the generator", "--rng", "rng.npy", path));
    let stdout = ("the text", "", "text.txt", Path::new("-"));
    refuse_weights(weights.id(), state.into_iter().chain(rng).chain([stdout]))
}
