//! The check that the first state of an unrolled layer is zeros or an input.

use std::collections::HashSet;

use super::{Linear, Links};
use crate::checkpoint::NamedTensor;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::onnx::{trace, wide};

impl<'a> Links<'a> {
    /// Rejects first states other than zeros that the exporter has multiplied already: the summand of a first step
    /// that no node computes is `bias_hh` if the state is zeros.
    pub(super) fn refuse_folded_state(
        &self,
        own: &[&Linear<'a>],
        tensors: &[NamedTensor],
    ) -> Result<(), CheckpointError> {
        for linear in own.iter().filter(|linear| linear.parameter.starts_with("hh")) {
            let state = self.reader.constant(linear.x);
            let state = state.map(|state| state.read(self.reader.graph, None)).transpose()?;
            if state.is_some_and(|state| wide(state).iter().any(|&x| x != 0.0)) {
                let got = "numbers of the model";
                let what = format!("h_0: expected zeros or an input, got {got} in '{}'", linear.x);
                return Err(CheckpointError::NoRnn(what));
            }
        }
        for linear in own.iter().filter(|linear| linear.parameter.starts_with("ih")) {
            let name = linear.parameter.replacen("ih", "bias_hh", 1);
            let bias = tensors.iter().find(|tensor| tensor.name == name);
            let bias = bias.map(|bias| wide(bias.tensor.clone()).into_iter().collect::<Vec<_>>());
            for summand in self.first_summands(linear.output) {
                let Some(constant) = self.reader.constant(summand) else { continue };
                let numbers = wide(constant.read(self.reader.graph, None)?);
                let width = numbers.shape().last().copied().unwrap_or(1).max(1);
                let numbers: Vec<_> = numbers.into_iter().collect();
                let is_bias = |row: &[f64]| match &bias {
                    Some(bias) => row == bias.as_slice(),
                    None => row.iter().all(|&x| x == 0.0),
                };
                if !numbers.chunks(width).all(is_bias) {
                    let what = format!(
                        "h_0: expected zeros or an input, got a product with other numbers in '{summand}'"
                    );
                    return Err(CheckpointError::NoRnn(what));
                }
            }
        }
        Ok(())
    }

    /// The values that are added to the steps of a product.
    fn first_summands(&self, product: &'a str) -> Vec<&'a str> {
        let (mut open, mut seen, mut summands) = (vec![product], HashSet::new(), Vec::new());
        while let Some(name) = open.pop() {
            for node in self.readers(name) {
                let moves = trace::is_move(node) || matches!(&*node.op_type, "Split" | "Gather");
                if node.op_type == "Add" {
                    summands
                        .extend(node.input.iter().map(String::as_str).filter(|own| *own != name));
                } else if moves && node.input(0) == Some(name) {
                    let outputs = node.output.iter().map(String::as_str);
                    open.extend(outputs.filter(|output| seen.insert(*output)));
                }
            }
        }
        summands
    }
}
