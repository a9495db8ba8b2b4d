//! Weights as the kernel reads them.

use crate::element::Element;
use crate::kernel::{Aligned, Panels};

/// The weights of one layer and direction, packed for the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Cell<T> {
    /// Panels of `weight_ih`, (`H_out`, `input_size`).
    pub(crate) weight_ih: Vec<Aligned<T>>,
    /// Panels of `weight_hh`, (`H_out`, `H_out`).
    pub(crate) weight_hh: Vec<Aligned<T>>,
    /// `b_ih + b_hh`, (`H_out`); zeros without bias.
    pub(crate) bias: Vec<T>,
    /// Features that this layer takes in.
    pub(crate) input_size: usize,
}

impl<T: Element> Cell<T> {
    pub(crate) fn ih(&self) -> Panels<'_, T> {
        Panels::new(&self.weight_ih, self.bias.len(), self.input_size)
    }

    pub(crate) fn hh(&self) -> Panels<'_, T> {
        Panels::new(&self.weight_hh, self.bias.len(), self.bias.len())
    }
}
