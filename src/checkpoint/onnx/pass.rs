//! What the constants of a stack say about a pass: the state it starts from, and the lengths of its sequences.

use ndarray::{Array3, ArrayD, Axis};

use super::cell::LayerNode;
use super::state::{State, refused};
use crate::checkpoint::error::CheckpointError;
use crate::memory::array;

/// The first state of a stack, (D * `num_layers`, 1 or N, `H_out`), if the graph holds one.
pub(super) fn first_state(cells: &[LayerNode<'_>]) -> Result<Option<ArrayD<f64>>, CheckpointError> {
    let learned = |cell: &LayerNode<'_>| match &cell.state {
        State::Learned(state) => Some(state.len_of(Axis(1))),
        _ => None,
    };
    let Some(batch) = cells.iter().filter_map(learned).max() else { return Ok(None) };
    let mut whole = Vec::new();
    for cell in cells {
        let (directions, hidden_size) = (cell.config.num_directions(), cell.config.hidden_size);
        let shape = [directions, batch, hidden_size];
        let own = match &cell.state {
            State::Learned(state) => state.broadcast(shape).map(|state| state.to_owned()),
            State::Zeros => Some(Array3::zeros(shape)),
            _ => None,
        };
        let Some(own) = own else {
            let what = "initial_h: expected constants in all layers or in none, got other states";
            return Err(refused(cell.node, what));
        };
        whole.extend(own);
    }
    let Some(first) = cells.first() else { return Ok(None) };
    let states = cells.len() * first.config.num_directions();
    let hidden_size = first.config.hidden_size;
    // One row stands for a batch of any size.
    let rows = whole
        .chunks(batch * hidden_size)
        .all(|state| state.chunks(hidden_size).all(|row| row == &state[..hidden_size]));
    let whole = array(&[states, batch, hidden_size], whole);
    Ok(Some(if rows { whole.slice_axis(Axis(1), (..1).into()).to_owned() } else { whole }))
}

/// The constant lengths of the sequences, which all nodes must share.
pub(super) fn lengths(cells: &[LayerNode<'_>]) -> Result<Option<Vec<usize>>, CheckpointError> {
    let Some(first) = cells.first() else { return Ok(None) };
    if let Some(other) = cells.iter().find(|cell| cell.lengths != first.lengths) {
        let expected = first.node.label();
        let what = format!("sequence_lens: expected those of node '{expected}', got others");
        return Err(refused(other.node, what));
    }
    let Some(lengths) = &first.lengths else { return Ok(None) };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    let length =
        |&length: &f64| (0.0..=f64::from(i32::MAX)).contains(&length).then_some(length as usize);
    lengths.iter().map(length).collect::<Option<Vec<_>>>().map(Some).ok_or_else(|| {
        refused(first.node, "sequence_lens: expected lengths of at least 0, got one below")
    })
}
