//! Weights in the order in which the kernel reads them.

use ndarray::ArrayD;

use crate::element::Element;
use crate::error::Error;
use crate::kernel::{Aligned, Panels};
use crate::memory::{OutOfMemory, zeros};
use crate::params::WEIGHTS;
use crate::stack::Cell;

/// Packs the parameters of one layer and direction for the kernel.
pub(super) fn pack<T: Element>(own: &[ArrayD<T>]) -> Result<Cell<T>, Error> {
    let (weight_ih, weight_hh) = (pack_matrix(&own[0])?, pack_matrix(&own[1])?);
    let (input_size, hidden_size) = (own[0].shape()[1], own[1].shape()[1]);
    let mut bias = zeros(&[hidden_size], WEIGHTS)?;
    if let [bias_ih, bias_hh] = &own[2..] {
        for ((sum, &ih), &hh) in bias.iter_mut().zip(bias_ih).zip(bias_hh) {
            *sum = ih + hh;
        }
    }
    Ok(Cell { weight_ih, weight_hh, bias, input_size })
}

/// Packs weights, (features out, features in), for the kernel.
pub(crate) fn pack_matrix<T: Element>(weights: &ArrayD<T>) -> Result<Vec<Aligned<T>>, OutOfMemory> {
    let (columns, k) = (weights.shape()[0], weights.shape()[1]);
    let too_large = OutOfMemory { what: WEIGHTS, bytes: usize::MAX };
    let mut data = zeros(&[Panels::<T>::len(columns, k).ok_or(too_large)?], WEIGHTS)?;
    let weights = weights.as_standard_layout();
    Panels::pack(weights.as_slice().unwrap_or_default(), columns, k, &mut data);
    Ok(data)
}
