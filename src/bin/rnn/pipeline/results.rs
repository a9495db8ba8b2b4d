//! The results of `rnn run` in the shapes in which they are written, and the names of their axes.

use elman::{Config, Dtype, Element};
use ndarray::ArrayD;

use super::extent::Form;
use super::sequences::{Sequences, reshape, split_directions, split_shape};
use crate::report::TensorLine;

/// Names of the axes of each tensor.
pub(crate) struct AxisNames {
    pub(crate) input: Vec<&'static str>,
    pub(crate) output: Vec<&'static str>,
    /// Of each layer's and direction's hidden states, which are padded where the output is packed.
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

    /// The outputs' axes where the directions have one of their own.
    fn split(&self) -> Self {
        let mut split = AxisNames {
            input: self.input.clone(),
            output: self.output.clone(),
            all_hidden: self.all_hidden.clone(),
            state: self.state.clone(),
        };
        split.output.pop();
        split.output.extend(["directions", "hidden_size"]);
        split.state.splice(..1, ["num_layers", "directions"]);
        split
    }
}

/// The results that are wanted.
pub(crate) struct Results<T> {
    /// `None` if it has been written section by section.
    pub(crate) output: Option<Sequences<T>>,
    pub(crate) output_shape: Vec<usize>,
    pub(crate) h_n: ArrayD<T>,
    /// The last output of each sequence, (N, D * `H_out`), or (D * `H_out`).
    pub(crate) last: Option<ArrayD<T>>,
    /// `h_l0`, `h_l0_reverse`, `h_l1`, ..., each in the layout of the output, with `H_out` features.
    pub(crate) all_hidden: Vec<(String, ArrayD<T>)>,
}

/// Where the tensors have gone.
pub(crate) struct Written {
    pub(crate) output: Option<String>,
    pub(crate) h_n: Option<String>,
    pub(crate) last: Option<String>,
    pub(crate) all_hidden: Option<String>,
    /// Whether one went to standard output.
    pub(crate) stdout: bool,
}

impl<T: Element> Results<T> {
    /// Gives the directions an axis of their own.
    pub(crate) fn split_directions(&mut self, config: &Config) {
        let directions = config.num_directions();
        match &mut self.output {
            None => {}
            Some(output) => split_directions(output, directions),
        }
        self.output_shape = split_shape(&self.output_shape, directions);
        let mut shape = self.h_n.shape().to_vec();
        shape.splice(..1, [config.num_layers, directions]);
        reshape(&mut self.h_n, &shape);
    }

    /// What the report says of them.
    pub(crate) fn lines(
        &self,
        dtype: Dtype,
        axes: &AxisNames,
        split: bool,
        written: &Written,
    ) -> Vec<TensorLine> {
        let split_axes = axes.split();
        let axes = if split { &split_axes } else { axes };
        let line = |name: &str, axes: &[&'static str], shape: &[usize], file: &Option<String>| {
            let (name, shape, axes) = (name.to_owned(), shape.to_vec(), axes.to_vec());
            TensorLine { name, shape, axes, dtype: dtype.to_string(), file: file.clone() }
        };
        let mut lines = vec![
            line("output", &axes.output, &self.output_shape, &written.output),
            line("h_n", &axes.state, self.h_n.shape(), &written.h_n),
        ];
        if let Some(last) = &self.last {
            let names = [&["batch"][2 - last.ndim()..], &["directions*hidden_size"]].concat();
            lines.push(line("last", &names, last.shape(), &written.last));
        }
        for (name, states) in &self.all_hidden {
            lines.push(line(name, &axes.all_hidden, states.shape(), &written.all_hidden));
        }
        lines
    }
}
