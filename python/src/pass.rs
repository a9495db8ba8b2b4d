//! A pass without the GIL: on the calling thread, or on the pool if it is large enough to share.

use elman::{Batch, Encoder, Error, Mode};
use ndarray::{ArrayViewD, Axis};
use numpy::PyUntypedArray;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::array::{Float, indices, python};
use crate::error;
use crate::random::Global;
use crate::threads;

/// The division of an input into sequences.
pub(crate) enum Form {
    /// A tensor, with the lengths of its sequences or without.
    Tensor(Option<Vec<usize>>),
    /// The batch sizes and the sorted indices of a packed sequence.
    Packed(Vec<usize>, Option<Vec<usize>>),
    /// Offsets of sequences that follow each other.
    Ragged(Vec<usize>),
}

impl Form {
    /// The array of an input, and its division: `PackedSequence` of this module or of PyTorch, an object with values and
    /// offsets, such as `Ragged` and a `ListArray` of Arrow, or a tensor.
    pub(crate) fn of<'py>(
        input: &Bound<'py, PyAny>,
        lengths: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Self)> {
        let lengths = lengths.map(|list| indices(list, "lengths")).transpose()?;
        if !input.is_instance_of::<PyUntypedArray>() {
            if let Some(sizes) = input.getattr_opt("batch_sizes")? {
                refuse(lengths.is_some())?;
                let list = |name| {
                    let found = input.getattr(name)?;
                    (!found.is_none()).then(|| indices(&found, name)).transpose()
                };
                let sorted = list("sorted_indices")?;
                check_inverse(sorted.as_deref(), list("unsorted_indices")?.as_deref())?;
                let form = Form::Packed(indices(&sizes, "batch_sizes")?, sorted);
                return Ok((input.getattr("data")?, form));
            }
            if input.getattr_opt("offsets")?.is_some_and(|found| !found.is_callable()) {
                refuse(lengths.is_some())?;
                let parts = python!(input.py(), "ragged_parts")?.call1((input,))?;
                let (values, offsets): (Bound<'py, PyAny>, Bound<'py, PyAny>) = parts.extract()?;
                return Ok((values, Form::Ragged(indices(&offsets, "offsets")?)));
            }
        }
        Ok((input.clone(), Form::Tensor(lengths)))
    }

    /// The batch of an array.
    pub(crate) fn batch<'a, T: Clone>(
        &'a self,
        array: ArrayViewD<'a, T>,
        batch_first: bool,
    ) -> Result<Batch<'a, T>, Error> {
        match self {
            Form::Tensor(None) => Batch::new(array, batch_first),
            Form::Tensor(Some(lengths)) => Batch::with_lengths(array, lengths, batch_first),
            Form::Packed(batch_sizes, sorted) => {
                Batch::packed(array, batch_sizes, sorted.as_deref())
            }
            Form::Ragged(offsets) => Batch::ragged(array, offsets),
        }
    }

    /// The batch of rows for an array of ids.
    pub(crate) fn encoded<'a, T: Float>(
        &'a self,
        encoder: &Encoder<T>,
        ids: ArrayViewD<'a, i64>,
        batch_first: bool,
    ) -> Result<Batch<'a, T>, Error> {
        let batch = if let Form::Tensor(lengths) = self {
            Batch::of_ids(ids, lengths.as_deref(), batch_first)?
        } else {
            let features = Axis(ids.ndim());
            self.batch(ids.insert_axis(features), batch_first)?
        };
        encoder.encode(batch)
    }

    /// Wraps a per-step output in the type of the input.
    pub(crate) fn restored<'py>(
        &self,
        input: &Bound<'py, PyAny>,
        output: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Form::Tensor(_) => Ok(output),
            Form::Packed(..) => python!(input.py(), "like_packed")?.call1((input, output)),
            Form::Ragged(_) => python!(input.py(), "like_ragged")?.call1((input, output)),
        }
    }
}

fn refuse(lengths: bool) -> PyResult<()> {
    if lengths {
        let what = "lengths: expected None, because the input has its own, got others";
        return Err(PyValueError::new_err(what));
    }
    Ok(())
}

/// Refuses a packed input that would return to another order than the one that it came from.
fn check_inverse(sorted: Option<&[usize]>, unsorted: Option<&[usize]>) -> PyResult<()> {
    let (sorted, unsorted) = (sorted.unwrap_or_default(), unsorted.unwrap_or_default());
    let is_inverse = |(n, &at): (usize, &usize)| sorted.get(at) == Some(&n);
    if sorted.len() == unsorted.len() && unsorted.iter().enumerate().all(is_inverse) {
        return Ok(());
    }
    let what = "unsorted_indices: expected the inverse of sorted_indices, got another list";
    Err(PyValueError::new_err(what))
}

/// A pass whose batch is made and run without the GIL. In training mode with dropout, which draws from the global
/// generator, the GIL is held.
pub(crate) fn run<'a, T: elman::Element, R: Send>(
    py: Python<'_>,
    batch: impl FnOnce() -> Result<Batch<'a, T>, Error> + Send,
    is_serial: impl Fn(&Batch<'a, T>) -> bool + Sync,
    forward: impl Fn(Batch<'a, T>, Mode<'_>) -> Result<R, Error> + Sync,
    draws: bool,
) -> PyResult<R> {
    let (is_serial, forward) = (&is_serial, &forward);
    let raise = |error| error::of_layer(&error);
    if draws {
        let batch = batch().map_err(raise)?;
        let mut global = Global::lock(py);
        let generator = global.get();
        if is_serial(&batch) {
            return forward(batch, Mode::Train(generator)).map_err(raise);
        }
        let pass = || forward(batch, Mode::Train(generator));
        return threads::pool(py)?.install(pass).map_err(raise);
    }
    let first = py.detach(|| {
        let batch = batch()?;
        if is_serial(&batch) { forward(batch, Mode::Eval).map(Ok) } else { Ok(Err(batch)) }
    });
    match first.map_err(raise)? {
        Ok(done) => Ok(done),
        Err(batch) => {
            let pool = threads::pool(py)?;
            py.detach(|| pool.install(|| forward(batch, Mode::Eval))).map_err(raise)
        }
    }
}
