//! The results of `rnn run` in the shapes in which they are written, and the names of their axes.

use elman::Config;
use ndarray::ArrayD;

use super::extent::Form;
use super::rows::Rows;

/// Names of the axes of each tensor.
#[derive(Clone)]
pub(crate) struct AxisNames {
    pub(crate) input: Vec<&'static str>,
    pub(crate) output: Vec<&'static str>,
    /// Of the hidden states of each layer and direction, which are padded if the output is packed.
    pub(crate) all_hidden: Vec<&'static str>,
    /// Of `h_0` and `h_n`.
    pub(crate) state: Vec<&'static str>,
}

impl AxisNames {
    pub(crate) fn new(config: &Config, form: &Form) -> Self {
        let (states, features) = if config.bidirectional {
            ("directions*num_layers", "directions*hidden_size")
        } else {
            ("num_layers", "hidden_size")
        };
        let padded: &[_] = match form {
            Form::Unbatched => &["seq_len"],
            _ if config.batch_first => &["batch", "seq_len"],
            _ => &["seq_len", "batch"],
        };
        let sequence: &[_] = match form {
            Form::Unbatched | Form::Batched => padded,
            Form::Packed | Form::Ragged(_) => &["rows"],
        };
        let batch: &[_] = if *form == Form::Unbatched { &[] } else { &["batch"] };
        AxisNames {
            input: [sequence, &["input_size"]].concat(),
            output: [sequence, &[features]].concat(),
            all_hidden: [padded, &["hidden_size"]].concat(),
            state: [&[states], batch, &["hidden_size"]].concat(),
        }
    }

    /// The axes of the outputs, if the directions have an axis of their own.
    pub(crate) fn split(&self) -> Self {
        let mut split = self.clone();
        split.output.pop();
        split.output.extend(["directions", "hidden_size"]);
        split.state.splice(..1, ["num_layers", "directions"]);
        split
    }
}

/// The results that are wanted.
pub(crate) struct Results<T> {
    /// `None` if it has been written section by section.
    pub(crate) output: Option<Rows<T>>,
    pub(crate) h_n: ArrayD<T>,
    /// The last output of each sequence, (N, D * `H_out`), or (D * `H_out`).
    pub(crate) last: Option<ArrayD<T>>,
    /// `h_l0`, `h_l0_reverse`, `h_l1`, ..., each in the layout of the output, with `H_out` features.
    pub(crate) all_hidden: Vec<(String, ArrayD<T>)>,
}
