//! What the weights say about a pass: the state it starts from, and the lengths of its sequences.

use std::ffi::OsStr;

use anyhow::Result;
use elman::files::{Accepts, Source, TensorFile, open};
use elman::{Checkpoint, Dtype, Element, Error, Model, Rnn};
use ndarray::{ArrayD, Axis, IxDyn};

use crate::failure::Data;
use crate::numbers::conversion;
use crate::pipeline::input::Input;
use crate::pipeline::pass::Pass;
use crate::pipeline::sequences::{Lengths, PaddedSizes, check, read_lengths};
use crate::report::Notes;

/// A first state and lengths that are constants of a model.
pub(crate) struct Start {
    place: String,
    /// (D * `num_layers`, 1 or N, `H_out`).
    h_0: Option<ArrayD<f64>>,
    lengths: Option<Vec<usize>>,
}

impl Start {
    pub(crate) fn new(weights: Option<&Checkpoint>) -> Self {
        Start {
            place: weights.map(|weights| weights.place.clone()).unwrap_or_default(),
            h_0: weights.and_then(|weights| weights.h_0.clone()),
            lengths: weights.and_then(|weights| weights.lengths.clone()),
        }
    }

    /// The first state in reports, if there is one.
    pub(crate) fn name(&self) -> Option<String> {
        self.h_0.as_ref().map(|_| format!("{}: initial_h", self.place))
    }

    /// A note that `--h0` is used instead of the model's first state.
    pub(crate) fn overridden(&self) -> Option<String> {
        Some(format!("{} of the model is overridden by --h0", self.name()?))
    }

    /// The first state for a batch of this size, or for one sequence without an axis for the batch.
    pub(crate) fn state<T: Element>(
        &self,
        rnn: &Rnn<T>,
        batch: Option<usize>,
        notes: &mut Notes,
    ) -> Result<Option<ArrayD<T>>> {
        let Some(h_0) = &self.h_0 else { return Ok(None) };
        let expected = rnn.hidden_shape(batch);
        let row = || h_0.index_axis(Axis(1), 0);
        let whole = match batch {
            None if h_0.len_of(Axis(1)) == 1 => Some(row()),
            None => None,
            Some(_) => h_0.broadcast(IxDyn(&expected)),
        };
        let Some(whole) = whole else {
            let name = format!("{}: initial_h", self.place);
            return Err(Error::TensorShape { name, expected, found: h_0.shape().to_vec() }.into());
        };
        notes.notes.push(format!("{}: the model starts from its constant initial_h", self.place));
        Ok(Some(whole.mapv(T::from_f64)))
    }

    /// The first state of a pass: that of a file, or of the model; `None` for zeros. `asked` is the typed type.
    pub(crate) fn state_of_pass<T: Element>(
        &self,
        pass: &Pass<'_, T>,
        file: Option<TensorFile>,
        asked: Option<Dtype>,
        notes: &mut Notes,
    ) -> Result<Option<ArrayD<T>>> {
        let Some(file) = file else { return self.state(pass.rnn, pass.batched(), notes) };
        notes.notes.extend(self.overridden());
        let name = format!("{}: h_0", file.place());
        notes.notes.extend(conversion::<T>(asked, &name, file.header().stored)?);
        let (expected, found) = (pass.rnn.hidden_shape(pass.batched()), &file.header().shape);
        if *found != expected {
            let (name, found) = ("h_0".to_owned(), found.clone());
            return Err(Error::TensorShape { name, expected, found }.into());
        }
        Ok(Some(file.read()?))
    }

    /// Checks the header of an input, and reads the lengths of its sequences if it is a tensor.
    pub(crate) fn lengths_of_pass<T: Element>(
        &self,
        input: &Input,
        model: &Model<T>,
        lengths: Option<Lengths<'_>>,
        asked: Option<Dtype>,
        notes: &mut Notes,
    ) -> Result<Option<Vec<usize>>> {
        // First of all: the shape explains most mistakes.
        let padded = input.padded_sizes(model)?;
        input.warn(notes);
        // Ids are not converted.
        let tensors = if model.encoder().is_some() { Vec::new() } else { input.tensors() };
        for (place, stored, _) in tensors {
            notes.notes.extend(conversion::<T>(asked, &format!("{place}: input"), stored)?);
        }
        if lengths.is_none() {
            return self.lengths(padded.as_ref(), notes);
        }
        let lengths = lengths.zip(padded);
        lengths.map(|(lengths, padded)| read_lengths(lengths, &padded)).transpose()
    }

    /// The lengths of a padded batch. Packed and ragged input has lengths of its own.
    pub(crate) fn lengths(
        &self,
        padded: Option<&PaddedSizes>,
        notes: &mut Notes,
    ) -> Result<Option<Vec<usize>>> {
        let Some(lengths) = &self.lengths else { return Ok(None) };
        let place = format!("{}: sequence_lens", self.place);
        let Some(padded) = padded else {
            notes
                .notes
                .push(format!("{place} of the model is overridden by the lengths of the input"));
            return Ok(None);
        };
        let values: Vec<_> = lengths.iter().map(|&length| length as f64).collect();
        let lengths = check(&place, &values, padded)?;
        notes.notes.push(format!("{place} of the model is the lengths of the sequences"));
        Ok(Some(lengths))
    }

    /// The first state of a stream, of one sequence if the model has one row, and its source.
    pub(crate) fn carried<T: Element>(
        &self,
        independent: bool,
        notes: &mut Notes,
    ) -> Result<Option<(ArrayD<T>, String)>> {
        let Some((h_0, name)) = self.h_0.as_ref().zip(self.name()) else { return Ok(None) };
        if independent {
            let message = format!(
                "{name}: expected none with --independent, which starts each array from zeros, got a constant"
            );
            return Err(Data(message).into());
        }
        let one = h_0.len_of(Axis(1)) == 1;
        let state = if one { h_0.index_axis(Axis(1), 0).to_owned() } else { h_0.clone() };
        notes.notes.push(format!("{}: the model starts from its constant initial_h", self.place));
        Ok(Some((state.mapv(T::from_f64), name)))
    }

    /// Refuses lengths for a stream, whose arrays have no padding.
    pub(crate) fn refuse_lengths(&self) -> Result<()> {
        let Some(lengths) = &self.lengths else { return Ok(()) };
        let message = format!(
            "{}: sequence_lens: expected none, because the arrays of a stream have no padding, got the constant \
             {lengths:?}",
            self.place
        );
        Err(Data(message).into())
    }
}

/// Opens a file with one tensor.
pub(crate) fn open_tensor(path: &OsStr) -> Result<TensorFile> {
    Ok(open(&Source::parse(path), Accepts::Tensor)?.into_tensor()?)
}
