//! Bytes that a run in one pass holds in memory.

use elman::{Element, Rnn};

use super::extent::{Extent, Form};
use super::pass::PassOptions;

/// The most bytes that are held at one time, or as many as a number can say: a tensor with lengths is packed, run
/// and padded again, ragged sequences are packed and taken apart. Before and after the pass, two of these forms
/// are in memory.
pub(crate) fn footprint<T: Element>(rnn: &Rnn<T>, options: &PassOptions, extent: &Extent) -> usize {
    let (config, size) = (rnn.config(), size_of::<T>());
    let (layers, width) = (config.num_layers, extent.width);
    let dropout = options.train && config.dropout > 0.0;
    // Of one row, a step of one sequence.
    let input = config.input_size * size;
    let output = width * size * if options.all_hidden { layers } else { 1 };
    let masks = if dropout { (layers - 1) * width } else { 0 };
    let [input, output, masks] = [input, output, masks].map(|bytes| bytes as u128);

    let all = extent.rows(&extent.whole()) as u128;
    let total = options.total_length.unwrap_or(extent.steps).saturating_mul(extent.batch) as u128;
    let valid = extent.lengths.iter().flatten().map(|&length| length as u128).sum();
    let (rows, padded, repacked) = match (&extent.form, &extent.lengths) {
        (Form::Packed, _) => (all, total, None),
        (Form::Ragged(_), _) => (all, total, Some(all)),
        (_, Some(_)) => (valid, total, Some(total)),
        (_, None) => (all, all, None),
    };
    // The hidden states of all layers are copied out of the outputs.
    let apart = if options.all_hidden { output * padded } else { 0 };
    let mut most = (rows * (input + output + masks)).max(rows * output + apart);
    if let Some(padded) = repacked {
        most = most.max(input * (all + rows)).max(output * (rows + padded));
    }
    usize::try_from(most).unwrap_or(usize::MAX)
}
