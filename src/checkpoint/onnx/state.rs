//! The first state of one RNN node.

use std::collections::HashSet;

use ndarray::ArrayD;

use super::{Reader, trace, wide};
use crate::checkpoint::error::CheckpointError;
use crate::element::Dtype;
use crate::files::proto::NodeProto;

/// The first state of a node.
#[derive(Debug)]
pub(super) enum State {
    Zeros,
    /// An input of the model.
    Given,
    /// The output of other nodes.
    Computed,
    /// Numbers of the model, (D, 1 or N, `H_out`), that are not all zeros.
    Learned(ArrayD<f64>),
}

/// The first state of a node. `zeros` names those that are known to be zeros.
pub(super) fn of_node<'a>(
    node: &'a NodeProto,
    reader: &Reader<'a>,
    zeros: &mut HashSet<&'a str>,
    [directions, hidden_size]: [usize; 2],
) -> Result<State, CheckpointError> {
    let Some(name) = node.input(5) else { return Ok(State::Zeros) };
    let source = reader.trace.origin(name).source;
    // Many nodes may share one large tensor.
    if zeros.contains(source) {
        return Ok(State::Zeros);
    }
    let is_zero = |array: &ArrayD<f64>| array.iter().all(|&x| x == 0.0);
    let origin = match reader.trace.state(source) {
        trace::State::Input => return Ok(State::Given),
        trace::State::Zeros => return Ok(State::Zeros),
        trace::State::Computed => None,
        trace::State::Constant(tensor) => Some(wide(reader.graph.read(tensor, None)?)),
    };
    if origin.as_ref().is_some_and(is_zero) {
        zeros.insert(source);
        return Ok(State::Zeros);
    }
    let Some(constant) = reader.constant(name) else {
        if origin.is_none() {
            return Ok(State::Computed);
        }
        let expected = "expected zeros or an input of the model";
        let what = format!("initial_h: {expected}, got other numbers in '{source}'");
        return Err(refused(node, what));
    };
    let mut array = wide(constant.read(reader.graph, Some(Dtype::F64))?);
    if trace::is_batch_first(node) && array.ndim() == 3 {
        array.swap_axes(0, 1);
    }
    let rows = array.shape().get(1).copied().unwrap_or(1).max(1);
    expect(node, "initial_h", &[directions, rows, hidden_size], array.shape())?;
    Ok(if is_zero(&array) { State::Zeros } else { State::Learned(array) })
}

pub(super) fn expect(
    node: &NodeProto,
    input: &str,
    expected: &[usize],
    found: &[usize],
) -> Result<(), CheckpointError> {
    if expected == found {
        return Ok(());
    }
    Err(refused(node, format!("{input}: expected shape {expected:?}, got {found:?}")))
}

pub(super) fn refused(node: &NodeProto, what: impl std::fmt::Display) -> CheckpointError {
    CheckpointError::node(node.label(), what)
}
