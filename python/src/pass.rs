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
        let lengths = lengths.map(|own| indices(own, "lengths")).transpose()?;
        if !input.is_instance_of::<PyUntypedArray>() {
            if let Some(sizes) = input.getattr_opt("batch_sizes")? {
                refuse(lengths.is_some(), "a packed sequence")?;
                let sorted = input.getattr("sorted_indices")?;
                let sorted = (!sorted.is_none()).then_some(sorted);
                let sorted = sorted.map(|own| indices(&own, "sorted_indices")).transpose()?;
                let form = Form::Packed(indices(&sizes, "batch_sizes")?, sorted);
                return Ok((input.getattr("data")?, form));
            }
            if let Some(offsets) = input.getattr_opt("offsets")?.filter(|own| !own.is_callable()) {
                refuse(lengths.is_some(), "ragged sequences")?;
                return Ok((input.getattr("values")?, Form::Ragged(indices(&offsets, "offsets")?)));
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

    /// Gives an output for each step the class of its input.
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

fn refuse(lengths: bool, input: &str) -> PyResult<()> {
    if lengths {
        let what = format!("lengths: expected None with {input}, which has its own");
        return Err(PyValueError::new_err(what));
    }
    Ok(())
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
