//! Lines of Python that compute a step with PyTorch, from the files of the command.

use std::ffi::OsStr;
use std::path::Path;

use elman::files::Source;
use elman::{Dtype, Generator};
use ndarray::ArrayView1;

use super::origin::Origin;
use super::text::wrapped;
use super::{Moment, Recurrence, text as shortest_text};
use crate::explain::command_line::quoted;

/// Names of files that are converted for NumPy.
const WEIGHTS: &str = "w.explain.npz";
const INPUT: &str = "x.explain.npy";
const SEQUENCES: &str = "x.explain.npz";
const H_0: &str = "h_0.explain.npy";

impl Recurrence<'_> {
    /// The lines, which print the sum and the hidden state.
    pub(super) fn python(&self, origin: &Origin) -> Vec<String> {
        if self.about.reversed {
            return vec!["# torch.nn.RNN has no layer that runs in reverse alone".to_owned()];
        }
        if self.about.encoded {
            return vec![
                "# x is the output of the model's encoder, which this layer follows".to_owned(),
            ];
        }
        let loaded = self.loaded(origin);
        let numpy = loaded.iter().any(|line| line.contains("np.")).then_some("import numpy as np");
        let imports = numpy.into_iter().chain(["import torch"]).map(str::to_owned);
        let mut lines: Vec<_> = imports.chain(loaded).chain(self.lower_layers()).collect();
        let Moment { step, layer, direction, .. } = self.moment;
        let (hidden, directions) = (self.config.hidden_size, self.config.num_directions());
        lines.push(match layer {
            0 => format!("x_t = x[{step}]"),
            below => format!("x_t = states({below})[{step}]"),
        });
        let first = direction * hidden;
        lines.push(match self.step_before {
            None => format!("h = h_0[{}]", layer * directions + direction),
            Some(t) => format!("h = states({})[{t}, {first}:{}]", layer + 1, first + hidden),
        });
        let suffix = format!("_l{layer}{}", if direction == 1 { "_reverse" } else { "" });
        let mut sum = "W_ih @ x_t + W_hh @ h";
        lines.push(format!("W_ih, W_hh = w[\"weight_ih{suffix}\"], w[\"weight_hh{suffix}\"]"));
        if self.config.bias {
            lines.push(format!("b_ih, b_hh = w[\"bias_ih{suffix}\"], w[\"bias_hh{suffix}\"]"));
            sum = "W_ih @ x_t + b_ih + W_hh @ h + b_hh";
        }
        lines.push(format!("total = {sum}"));
        lines.push(format!("print(total, torch.{}(total))", self.config.nonlinearity));
        lines
    }

    /// Weights `w`, the sequence `x`, (L, `H_in`), and `h_0`, (D * `num_layers`, `H_out`).
    fn loaded(&self, origin: &Origin) -> Vec<String> {
        let row = self.moment.row;
        let repr = self.repr();
        if origin.input.is_none() {
            return vec![
                "torch.manual_seed(0)".to_owned(),
                format!("w = torch.nn.{repr}.state_dict()"),
                format!("x = torch.randn(5, 3, 10)[:, {row}]"),
                format!("h_0 = torch.randn(2, 3, 20)[:, {row}]"),
            ];
        }
        let mut lines = Vec::new();
        match &origin.weights {
            None => lines.extend([
                format!("torch.manual_seed({})", Generator::DEFAULT_SEED),
                format!("w = torch.nn.{repr}.state_dict()"),
            ]),
            Some(weights) => lines.extend(self.weights_from(weights, origin.prefix.as_ref())),
        }
        lines.extend(
            self.sequence(origin.input.as_deref().unwrap_or_default(), &origin.input_flags),
        );
        lines.extend(self.first_state(origin.h_0.as_deref()));
        lines
    }

    /// The weights as a `state_dict`; others than NumPy's by way of `rnn convert`.
    fn weights_from(&self, weights: &str, prefix: Option<&String>) -> Vec<String> {
        let (torch, state_dict) = (torch(self.about.dtype), self.about.state_dict);
        if state_dict && Path::new(weights).join("weight_ih_l0.npy").is_file() {
            return vec![
                "from pathlib import Path".to_owned(),
                format!("w = {{p.stem: torch.from_numpy(np.load(p)).to({torch})"),
                format!("     for p in Path({weights:?}).glob(\"*.npy\")}}"),
            ];
        }
        let (convert, file) = if state_dict && is_npz(weights) {
            (None, weights)
        } else {
            (Some(convert(weights, prefix, WEIGHTS)), WEIGHTS)
        };
        let read = format!(
            "w = {{n: torch.from_numpy(a).to({torch}) for n, a in np.load({file:?}).items()}}"
        );
        convert.into_iter().chain([read]).collect()
    }

    /// The sequence, without the padding behind its end.
    fn sequence(&self, input: &str, flags: &[String]) -> Vec<String> {
        let (row, steps, torch) = (self.moment.row, self.steps, torch(self.about.dtype));
        let about = self.about;
        if let Some(name) = about.names.get(row) {
            let is_npz = is_npz(input);
            let before = (!is_npz).then(|| convert(input, flags, SEQUENCES));
            let file = format!("np.load({:?})[{name:?}]", if is_npz { input } else { SEQUENCES });
            let read = format!("x = torch.from_numpy({file}).to({torch})");
            return before.into_iter().chain([read]).collect();
        }
        let (before, file) = if about.packed {
            let unpack = format!("# first: rnn unpack -i {} -o {INPUT}", quoted(input));
            (Some(unpack), format!("np.load({INPUT:?})"))
        } else {
            array(input, flags, INPUT)
        };
        let own = match (about.shape.len(), self.config.batch_first) {
            _ if about.packed => format!("[:{steps}, {row}]"),
            (3, true) => format!("[{row}, :{steps}]"),
            (3, false) => format!("[:{steps}, {row}]"),
            _ => format!("[:{steps}]"),
        };
        before
            .into_iter()
            .chain([format!("x = torch.from_numpy({file}).to({torch}){own}")])
            .collect()
    }

    /// The first state of the sequence, (D * `num_layers`, `H_out`).
    fn first_state(&self, h_0: Option<&str>) -> Vec<String> {
        let config = self.config;
        let states = config.num_layers * config.num_directions();
        let Some(h_0) = h_0 else {
            if self.about.h_0.is_some() {
                return self.constant_state();
            }
            return vec![format!(
                "h_0 = torch.zeros({states}, {}{})",
                config.hidden_size,
                argument(self.about.dtype)
            )];
        };
        let (before, file) = array(h_0, &[], H_0);
        let single = !self.about.batched;
        let own = if single { String::new() } else { format!("[:, {}]", self.moment.row) };
        let line = format!("h_0 = torch.from_numpy({file}).to({}){own}", torch(self.about.dtype));
        before.into_iter().chain([line]).collect()
    }

    /// The numbers of a first state that is a constant of the model.
    fn constant_state(&self) -> Vec<String> {
        let number = |&value: &f64| {
            let text = typed!(self.about.dtype, shortest_text(value));
            if value.is_finite() { format!("{text},") } else { format!("float(\"{text}\"),") }
        };
        let row = |row: ArrayView1<'_, f64>| {
            let numbers: Vec<_> = row.iter().map(number).collect();
            let mut lines = wrapped("    [", numbers.iter().map(String::as_str));
            lines.last_mut().into_iter().for_each(|last| last.push_str("],"));
            lines
        };
        let rows = self.h_0.rows().into_iter().flat_map(row);
        let last = format!("]{})", argument(self.about.dtype));
        std::iter::once("h_0 = torch.tensor([".to_owned()).chain(rows).chain([last]).collect()
    }

    /// A function for the output of the layers below, if it is needed.
    fn lower_layers(&self) -> Vec<String> {
        if self.moment.layer == 0 && self.step_before.is_none() {
            return Vec::new();
        }
        let config = self.config;
        let mut arguments = format!("{}, {}, layers", config.input_size, config.hidden_size);
        for (differs, words) in [
            (config.nonlinearity.to_string() != "tanh", ", nonlinearity=\"relu\""),
            (!config.bias, ", bias=False"),
            (config.bidirectional, ", bidirectional=True"),
        ] {
            arguments.push_str(if differs { words } else { "" });
        }
        let first = if config.bidirectional { "2 * layers" } else { "layers" };
        vec![
            String::new(),
            "def states(layers):  # the output of the first layers, (L, D * H_out)".to_owned(),
            format!("    rnn = torch.nn.RNN({arguments}{})", argument(self.about.dtype)),
            "    rnn.load_state_dict({n: w[n] for n in rnn.state_dict()})".to_owned(),
            format!("    return rnn(x, h_0[:{first}])[0].detach()"),
            String::new(),
        ]
    }

    /// The layer as PyTorch's constructor takes it.
    fn repr(&self) -> String {
        let repr = self.config.to_string();
        format!("{}{})", repr.trim_end_matches(')'), argument(self.about.dtype))
    }
}

/// A comment with the command that converts a file for NumPy.
fn convert<'a>(file: &str, flags: impl IntoIterator<Item = &'a String>, to: &str) -> String {
    let words = flags.into_iter().map(|flag| format!(" {}", quoted(flag)));
    format!("# first: rnn convert {}{} {to}", quoted(file), words.collect::<String>())
}

/// NumPy's expression for a tensor, and a line before it if the file is to be converted.
fn array(file: &str, flags: &[String], converted: &str) -> (Option<String>, String) {
    match Source::parse(OsStr::new(file)) {
        Source::Path(path) if path.extension() == Some(OsStr::new("npy")) => {
            (None, format!("np.load({file:?})"))
        }
        Source::Member(path, name) if path.extension() == Some(OsStr::new("npz")) => {
            (None, format!("np.load({:?})[{name:?}]", path.to_string_lossy()))
        }
        _ => (Some(convert(file, flags, converted)), format!("np.load({converted:?})")),
    }
}

fn is_npz(file: &str) -> bool {
    Path::new(file).extension() == Some(OsStr::new("npz"))
}

/// PyTorch's name of the type.
fn torch(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "torch.float32",
        Dtype::F64 => "torch.float64",
    }
}

/// The argument of the type, if it is not PyTorch's default.
fn argument(dtype: Dtype) -> String {
    if dtype == Dtype::F32 { String::new() } else { format!(", dtype={}", torch(dtype)) }
}
