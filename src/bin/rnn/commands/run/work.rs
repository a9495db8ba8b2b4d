//! The run of one input: its outputs, complete and not yet in their places, and its report.

use anyhow::Result;
use elman::files::{Pending, TensorFile};
use elman::{Config, Element, Function, Model};
use ndarray::ArrayD;
use rayon::ThreadPool;

use crate::args::Run;
use crate::explain::layer::{Places, explain};
use crate::numbers::all_finite;
use crate::peak;
use crate::pipeline::extent;
use crate::pipeline::input::Input;
use crate::pipeline::output::Outputs;
use crate::pipeline::pass::{Pass, PassOptions};
use crate::pipeline::prediction::Results;
use crate::pipeline::sequences::{Lengths, check_total};
use crate::progress;
use crate::report::{Notes, Report, RunLine, TensorLine};
use crate::rng::Rng;
use crate::start::{Start, open_tensor};

/// Everything that the inputs of a command share.
pub(super) struct Shared<'a, T> {
    pub(super) args: &'a Run,
    pub(super) options: &'a PassOptions,
    pub(super) model: &'a Model<T>,
    pub(super) start: &'a Start,
    pub(super) pool: &'a ThreadPool,
}

/// An input whose headers have been read, and its outputs.
pub(super) struct Work<'a> {
    pub(super) input: Input,
    pub(super) lengths: Option<Lengths<'a>>,
    pub(super) outputs: Outputs,
    pub(super) rng: Rng,
    pub(super) notes: Notes,
}

/// A work that has been done.
pub(super) struct Done {
    /// The files, which are not in their places yet.
    pub(super) outputs: Vec<Pending>,
    pub(super) rng: Rng,
    /// The result as lines of text, if there is no other output.
    pub(super) text: Option<String>,
    pub(super) report: Report,
    /// Whether a result goes to standard output.
    pub(super) stdout_taken: bool,
}

impl<T: Element> Shared<'_, T> {
    /// Passes an input through the model. `held` is the file of `h_0` if it has been opened.
    pub(super) fn run(
        &self,
        work: Work<'_>,
        places: &Places,
        held: Option<TensorFile>,
    ) -> Result<Done> {
        let Work { mut input, lengths, mut outputs, mut rng, mut notes } = work;
        let rnn = self.model.rnn();
        let explained = |error| explain(error, rnn.config(), places);
        let (args, start) = (self.args, self.start);
        self.note_recognised(&input, &mut notes);
        let own = start.lengths_of_pass(&input, self.model, lengths, args.dtype, &mut notes);
        let pass = own.and_then(|own| input.pass(self.model, self.options, &places.input, own));
        let pass = pass.map_err(explained)?;
        let ran = forward(self, &pass, (input, held), &mut outputs, &mut rng, &mut notes);
        let (mut results, run) = ran.map_err(explained)?;
        let text = outputs.text(&pass, &mut results)?;
        let stdout_taken = outputs.on_stdout() || text.is_some();
        let mut names = outputs.names();
        if text.is_some() {
            names[0] = Some("stdout".to_owned());
        }
        let bytes = extent::bytes::<T>(&pass.shapes()[0]);
        let bar = self.options.progress.then(|| progress::transfer(bytes));
        let outputs = outputs.write_rest(&pass, &mut results)?.collect();
        drop(bar);
        let drawn = places.weights.is_none() || (self.options.train && drops(rnn.config()));
        let report = Report {
            command: "run",
            layer: Some((rnn.config().clone(), T::DTYPE)),
            tensors: lines(&pass, places, self.start, &results, names),
            weights: places.weights.clone(),
            seed: rng.seed.filter(|_| drawn),
            run: Some(run),
            notes,
            ..Report::default()
        };
        Ok(Done { outputs, rng, text, report, stdout_taken })
    }

    /// Says how the tensors of an input were recognised, with --verbose. Ids need no words.
    fn note_recognised(&self, input: &Input, notes: &mut Notes) {
        if self.args.report.verbose == 0 || self.model.encoder().is_some() {
            return;
        }
        let words = input.tensors().into_iter();
        let words = words.map(|(place, _, form)| format!("{place}: input: recognised as {form}"));
        notes.notes.extend(words);
    }
}

/// Whether training mode drops hidden states of the layer.
fn drops(config: &Config) -> bool {
    config.dropout > 0.0 && config.num_layers > 1
}

fn forward<T: Element>(
    shared: &Shared<'_, T>,
    pass: &Pass<'_, T>,
    (input, held): (Input, Option<TensorFile>),
    outputs: &mut Outputs,
    rng: &mut Rng,
    notes: &mut Notes,
) -> Result<(Results<T>, RunLine)> {
    let Shared { args, pool, .. } = shared;
    match (&pass.index, &pass.lengths) {
        (Some(index), _) => check_total(&index.lengths()?, args.total_length)?,
        (_, Some(own)) => check_total(own, args.total_length)?,
        _ => {}
    }
    outputs.check_shapes(pass)?;
    let h_0 = first_state(shared, pass, held, notes)?;
    let threads = pool.current_num_threads();
    if args.report.verbose > 0 {
        let plan = pass.rnn.plan(pass.steps, pass.batch, threads);
        let (rows, columns) = pass.rnn.kernel().tile::<T>();
        let caches = peak::cache_sizes();
        notes.notes.push(format!("plan: {plan}, tiles of {rows} x {columns}; {caches}"));
    }
    let (results, seconds) = pass.run(pool, input, h_0, outputs, rng, notes)?;
    if results.saturated {
        notes.warnings.push(format!(
            "{}: more than 90 % of the outputs are beyond 0.999, where tanh is flat: is the input scaled as in training?",
            pass.place
        ));
    }
    let (mode, kernel) = (if args.train { "train" } else { "eval" }, pass.rnn.kernel().name());
    Ok((results, RunLine { mode, kernel, threads, seconds }))
}

/// The first state of the typed file or of the model; `None` for zeros.
fn first_state<T: Element>(
    shared: &Shared<'_, T>,
    pass: &Pass<'_, T>,
    held: Option<TensorFile>,
    notes: &mut Notes,
) -> Result<Option<ArrayD<T>>> {
    let args = shared.args;
    let file = match (held, args.h0.as_deref()) {
        (None, Some(path)) => Some(open_tensor(path)?),
        (held, _) => held,
    };
    let name = file.as_ref().map(|file| format!("{}: h_0", file.place()));
    if let Some((file, name)) = file.as_ref().zip(name.as_ref()).filter(|_| args.report.verbose > 0)
    {
        notes.notes.push(format!("{name}: recognised as {}", file.recognised()));
    }
    let h_0 = shared.start.state_of_pass(pass, file, args.dtype, notes)?;
    if let Some((h_0, name)) = h_0.as_ref().zip(name).filter(|_| args.check_finite) {
        let [.., axes] = pass.axes(false);
        all_finite(&name, &h_0.view(), &axes, &[])?;
    }
    Ok(h_0)
}

/// The tensors of the report. `written` holds the files of output, `h_n`, the last outputs and all hidden states.
fn lines<T: Element>(
    pass: &Pass<'_, T>,
    places: &Places,
    start: &Start,
    results: &Results<T>,
    [output, h_n, last, all_hidden]: [Option<String>; 4],
) -> Vec<TensorLine> {
    let ids = pass.model.encoder().is_some();
    let classes = pass.model.decoder().function == Some(Function::Argmax);
    let line = |name: &str, axes: &[&'static str], shape: &[usize], file: Option<String>| {
        let whole = (name == "input" && ids) || (name == "output" && classes);
        let dtype = if whole { "int64".to_owned() } else { T::DTYPE.to_string() };
        TensorLine::new(name, (shape, axes), dtype, file)
    };
    let [input_axes, _, hidden_axes, h_0_axes] = pass.axes(false);
    let [_, output_axes, _, h_n_axes] = pass.axes(pass.options.split_directions);
    let h_0 = places.h_0.clone().or_else(|| start.name());
    let h_0 = h_0.unwrap_or_else(|| "zeros".to_owned());
    let h_0_shape = pass.rnn.hidden_shape(pass.batched());
    let [output_shape, h_n_shape, last_shape] = pass.shapes();
    let mut lines = vec![
        line("input", &input_axes, &places.input_shape, Some(places.input.clone())),
        line("h_0", &h_0_axes, &h_0_shape, Some(h_0)),
        line("output", &output_axes, &output_shape, output),
        line("h_n", &h_n_axes, &h_n_shape, h_n),
    ];
    if results.last.is_some() {
        let names = [&["batch"][2 - last_shape.len()..], &["directions*hidden_size"]].concat();
        lines.push(line("last", &names, &last_shape, last));
    }
    for (name, states) in &results.all_hidden {
        lines.push(line(name, &hidden_axes, states.shape(), all_hidden.clone()));
    }
    lines
}
