//! What a forward pass of `rnn run` gives, in the shapes in which it is written, and their axes' names.

use elman::files::{Dtype, Real};
use elman::{Config, PackedSequence};
use ndarray::{ArrayD, IxDyn};

use crate::report::TensorLine;

/// Names of the axes of each tensor.
pub(crate) struct Axes {
    pub(crate) input: Vec<&'static str>,
    pub(crate) output: Vec<&'static str>,
    /// Of each layer's and direction's hidden states, which are padded where the output is packed.
    pub(crate) all_hidden: Vec<&'static str>,
    /// Of `h_0` and `h_n`.
    pub(crate) state: Vec<&'static str>,
}

/// What the axes before the features are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Steps of one sequence.
    Unbatched,
    /// Steps and sequences, in the order that `batch_first` says.
    Batched,
    /// Steps of all sequences together.
    Packed,
}

impl Axes {
    pub(crate) fn new(config: &Config, layout: Layout) -> Self {
        let (states, features) = if config.bidirectional {
            ("directions*num_layers", "directions*hidden_size")
        } else {
            ("num_layers", "hidden_size")
        };
        let sequence: &[_] = match layout {
            Layout::Unbatched => &["seq_len"],
            Layout::Packed => &["rows"],
            Layout::Batched if config.batch_first => &["batch", "seq_len"],
            Layout::Batched => &["seq_len", "batch"],
        };
        let padded: &[_] = match layout {
            Layout::Unbatched => sequence,
            _ if config.batch_first => &["batch", "seq_len"],
            _ => &["seq_len", "batch"],
        };
        let batch: &[_] = if layout == Layout::Unbatched { &[] } else { &["batch"] };
        Axes {
            input: [sequence, &["input_size"]].concat(),
            output: [sequence, &[features]].concat(),
            all_hidden: [padded, &["hidden_size"]].concat(),
            state: [&[states], batch, &["hidden_size"]].concat(),
        }
    }

    /// The outputs' axes where the directions have one of their own.
    fn split(&self) -> Self {
        let mut split = Axes {
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

/// The results, of which only those are there that somebody wants.
pub(crate) struct Results<T> {
    /// None where it has been written part by part.
    pub(crate) output: Option<Produced<T>>,
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

/// An output in the form of its input.
pub(crate) enum Produced<T> {
    Tensor(ArrayD<T>),
    Packed(PackedSequence<T>),
    /// One tensor of (`L_i`, D * `H_out`) for each sequence, under its name.
    Ragged(Vec<(String, ArrayD<T>)>),
}

impl<T> Produced<T> {
    /// Its shape; of several sequences, that of all their rows.
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Produced::Tensor(tensor) => tensor.shape().to_vec(),
            Produced::Packed(packed) => packed.data.shape().to_vec(),
            Produced::Ragged(all) => {
                let rows = all.iter().map(|(_, own)| own.shape()[0]).sum();
                let features = all.first().map_or(&[][..], |(_, own)| &own.shape()[1..]);
                [&[rows], features].concat()
            }
        }
    }
}

impl<T: Real + Default> Results<T> {
    /// Gives the directions an axis of their own.
    pub(crate) fn split_directions(&mut self, config: &Config) {
        let directions = config.num_directions();
        match &mut self.output {
            None => {}
            Some(Produced::Tensor(tensor)) => split(tensor, directions),
            Some(Produced::Packed(packed)) => split(&mut packed.data, directions),
            Some(Produced::Ragged(all)) => {
                for (_, tensor) in all {
                    split(tensor, directions);
                }
            }
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
        axes: &Axes,
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

/// (.., D * `H_out`) as (.., D, `H_out`).
pub(crate) fn split_shape(shape: &[usize], directions: usize) -> Vec<usize> {
    match shape {
        [rows @ .., features] => [rows, &[directions, features / directions]].concat(),
        [] => Vec::new(),
    }
}

fn split<T: Copy + Default>(tensor: &mut ArrayD<T>, directions: usize) {
    reshape(tensor, &split_shape(tensor.shape(), directions));
}

/// The same numbers in another shape of as many. A transposed tensor is copied, because its axes would come
/// apart.
fn reshape<T: Copy + Default>(tensor: &mut ArrayD<T>, shape: &[usize]) {
    let mut whole = std::mem::take(tensor);
    if !whole.is_standard_layout() {
        whole = whole.as_standard_layout().into_owned();
    }
    let reshaped = whole.into_shape_with_order(IxDyn(shape));
    *tensor = reshaped.unwrap_or_else(|_| unreachable!("as many numbers"));
}
