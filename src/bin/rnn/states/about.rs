//! A layer and its sequences in words.

use elman::{Config, Dtype};

/// A layer and its sequences without their numbers.
#[allow(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
pub(crate) struct About {
    pub(crate) config: Config,
    pub(crate) dtype: Dtype,
    /// Whether the single direction runs from the last step to the first.
    pub(crate) reversed: bool,
    /// Whether an encoder stands before the layer.
    pub(crate) encoded: bool,
    /// The names of the files; `None` for fresh weights.
    pub(crate) weights: Option<String>,
    /// Whether the file of the weights has the names and the tensors of PyTorch's `state_dict`.
    pub(crate) state_dict: bool,
    pub(crate) input: String,
    /// The file of `h_0`, or the model with a constant one; `None` for zeros.
    pub(crate) h_0: Option<String>,
    /// Names of single sequences, if the input has them.
    pub(crate) names: Vec<String>,
    /// Whether the input is a packed sequence.
    pub(crate) packed: bool,
    /// Whether `h_0` has an axis for the batch.
    pub(crate) batched: bool,
    /// The shape of the input as it is stored.
    pub(crate) shape: Vec<usize>,
}

impl About {
    /// The index of a number in the input: of a tensor in its axes, else step and feature of the sequence.
    pub(crate) fn place(&self, step: usize, row: usize, feature: usize) -> Vec<usize> {
        let rank = self.shape.len() + usize::from(self.encoded);
        let mut index = match (rank, self.config.batch_first) {
            (3, true) => vec![row, step, feature],
            (3, false) => vec![step, row, feature],
            _ => vec![step, feature],
        };
        // An id stands for all of its features.
        index.truncate(self.shape.len());
        index
    }

    /// The input, or its member or sequence, of which [`About::place`] is an index.
    pub(crate) fn tensor(&self, row: usize) -> String {
        match self.names.get(row) {
            Some(name) => format!("{}:{name}", self.input),
            None if self.packed => format!("sequence {row} of {}", self.input),
            None => self.input.clone(),
        }
    }

    /// Whether a direction runs from the last step to the first.
    pub(crate) fn is_reverse(&self, direction: usize) -> bool {
        direction == 1 || self.reversed
    }

    /// The name of a direction.
    pub(crate) fn direction(&self, direction: usize) -> &'static str {
        if self.is_reverse(direction) { "reverse" } else { "forward" }
    }

    /// The layer and the direction, 0 or 1, of each cell, in the order of the `state_dict`.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (usize, usize)> {
        let directions = self.config.num_directions();
        (0..self.config.num_layers * directions).map(move |i| (i / directions, i % directions))
    }
}
