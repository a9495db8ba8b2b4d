//! Lines of Python that compute a step with PyTorch, from the files of the command.

use std::ffi::OsStr;
use std::path::Path;

use elman::files::Source;
use elman::{Dtype, Generator};

use super::{Moment, Recurrence};
use crate::args::Seen;
use crate::explain::command_line::quoted;

/// The typed files.
pub(crate) struct Origin {
    weights: Option<String>,
    input: Option<String>,
    h_0: Option<String>,
    /// The names of modules before those of the parameters.
    prefixed: bool,
}

impl Origin {
    pub(crate) fn new(seen: &Seen) -> Self {
        let text =
            |path: &Option<_>| path.as_deref().map(|path: &OsStr| path.to_string_lossy().into());
        Origin {
            weights: text(&seen.weights),
            input: text(&seen.input),
            h_0: text(&seen.h0),
            prefixed: seen.of_weights.prefix.is_some(),
        }
    }
}

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
            Some(weights) => lines.extend(weights_from(weights, origin.prefixed, self.about.dtype)),
        }
        lines.extend(self.sequence(origin.input.as_deref().unwrap_or_default()));
        lines.extend(self.first_state(origin.h_0.as_deref()));
        lines
    }

    /// The sequence, without the padding behind its end.
    fn sequence(&self, input: &str) -> Vec<String> {
        let (row, steps, torch) = (self.moment.row, self.steps, torch(self.about.dtype));
        let about = self.about;
        if let Some(name) = about.names.get(row).filter(|_| is_npz(input)) {
            let file = format!("np.load({input:?})[{name:?}]");
            return vec![format!("x = torch.from_numpy({file}).to({torch})")];
        }
        let (before, file) = if about.packed {
            let unpack = format!("# first: rnn unpack -i {} -o x.npy", quoted(input));
            (Some(unpack), "np.load(\"x.npy\")".to_owned())
        } else {
            array(input)
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
            return vec![format!(
                "h_0 = torch.zeros({states}, {}{})",
                config.hidden_size,
                argument(self.about.dtype)
            )];
        };
        let (before, file) = array(h_0);
        let single = !self.about.packed && self.about.shape.len() == 2;
        let own = if single { String::new() } else { format!("[:, {}]", self.moment.row) };
        let line = format!("h_0 = torch.from_numpy({file}).to({}){own}", torch(self.about.dtype));
        before.into_iter().chain([line]).collect()
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

/// The weights as a `state_dict`; others than NumPy's by way of `rnn convert`.
fn weights_from(weights: &str, prefixed: bool, dtype: Dtype) -> Vec<String> {
    let torch = torch(dtype);
    if !prefixed && Path::new(weights).is_dir() {
        return vec![
            "from pathlib import Path".to_owned(),
            format!("w = {{p.stem: torch.from_numpy(np.load(p)).to({torch})"),
            format!("     for p in Path({weights:?}).glob(\"*.npy\")}}"),
        ];
    }
    let (convert, file) = if !prefixed && is_npz(weights) {
        (None, weights)
    } else {
        (Some(format!("# first: rnn convert {} w.npz", quoted(weights))), "w.npz")
    };
    let read =
        format!("w = {{n: torch.from_numpy(a).to({torch}) for n, a in np.load({file:?}).items()}}");
    convert.into_iter().chain([read]).collect()
}

/// NumPy's expression for a tensor, and a line before it if the file is to be converted.
fn array(file: &str) -> (Option<String>, String) {
    match Source::parse(OsStr::new(file)) {
        Source::Path(path) if path.extension() == Some(OsStr::new("npy")) => {
            (None, format!("np.load({file:?})"))
        }
        Source::Member(path, name) if path.extension() == Some(OsStr::new("npz")) => {
            (None, format!("np.load({:?})[{name:?}]", path.to_string_lossy()))
        }
        _ => (
            Some(format!("# first: rnn convert {} x.npy", quoted(file))),
            "np.load(\"x.npy\")".to_owned(),
        ),
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
