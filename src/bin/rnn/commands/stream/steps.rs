//! The steps of a stream: read an array, a frame or a line, pass it through the model, answer it.

use anyhow::{Context, Result};
#[cfg(feature = "csv")]
use elman::files::TableRows;
use elman::files::{Arrays, Frames, Header, TextLines};
use elman::{
    Batch, Checkpoint, Element, Encoder, Error, Model, ModelOutput, Prediction, Vocabulary, zeros,
};
use ndarray::{Array1, ArrayD, ArrayView, ArrayViewD, Axis, IxDyn};

use super::{check_finite, say};
use crate::args::{ReportForm, Stream};
use crate::explain::hint;
use crate::failure::{Data, with_hint};
use crate::layer;
use crate::numbers::{all_finite, conversion};
use crate::pipeline::answers::Answering;
use crate::pipeline::carried::Carried;
use crate::pipeline::ids::ids;
use crate::pipeline::rows::with_features;
use crate::pipeline::sequences::refuse_bool;
use crate::pipeline::table::{note_encoding, note_names, several_columns};
use crate::report::Notes;

pub(super) struct Steps<'a, T> {
    pub(super) args: &'a Stream,
    pub(super) model: &'a Model<T>,
    pub(super) carried: Carried<'a, T>,
    pub(super) answering: Answering,
}

impl<T: Element> Steps<'_, T> {
    /// Answers .npy after .npy.
    pub(super) fn arrays(&mut self, weights: &Checkpoint) -> Result<()> {
        let (args, mut input) = (self.args, Arrays::stdin());
        let (mut before, mut assumed, strict) = (None, false, args.of_weights.strict);
        while let Some(header) = input.header()? {
            let place = input.place();
            let shape = with_features(&header.shape, self.model).with_context(|| place.clone())?;
            if !assumed && layer::has_two_readings(&shape, args.h0.is_some()) {
                let mut notes = Notes::default();
                layer::assume(weights, &args.layer, &["batch_first"], strict, &mut notes)?;
                notes.print_said();
                assumed = true;
            }
            self.check_type(&header, &place, &mut before)?;
            self.carried.check(&header.shape, &place)?;
            let steps = |batch_first: bool| shape[usize::from(batch_first && shape.len() == 3)];
            let batch_first = self.model.rnn().config().batch_first;
            let result = if self.model.encoder().is_some() {
                let numbers = input.read::<f64>(&header)?;
                self.step_ids(&numbers, &place, steps(batch_first))
            } else {
                let array = input.read::<T>(&header)?;
                check_finite(args, &place, "input", &array)?;
                let batch = Batch::new(array.view(), batch_first).with_context(|| place.clone())?;
                self.carried.step(batch, steps(batch_first)).with_context(|| place.clone())
            };
            self.answer(&|| place.clone(), result?)?;
        }
        Ok(())
    }

    /// Checks the type of an array, which is that of the arrays `before` it.
    fn check_type(
        &self,
        header: &Header,
        place: &str,
        before: &mut Option<elman::files::StoredType>,
    ) -> Result<()> {
        let (name, found) = (format!("{place}: input"), header.stored);
        if *before == Some(found) {
            return Ok(());
        }
        if self.model.encoder().is_some() {
            // Ids are not converted.
            return refuse_bool(place, found);
        }
        if let Some(before) = before.filter(|_| !self.args.independent) {
            let message =
                format!("{name}: expected {before}, as in the arrays before it, got {found}");
            return Err(Data(message).into());
        }
        if let Some(note) = conversion::<T>(self.args.dtype, &name, found)? {
            say(self.args, &format!("note: {note}"));
        }
        *before = Some(found);
        Ok(())
    }

    /// Answers frames, each a step of one sequence.
    pub(super) fn frames(&mut self) -> Result<()> {
        let len = self.row_len();
        let mut input = Frames::stdin(len)?;
        let mut frame = ArrayD::from_shape_vec(vec![1, len], zeros(&[len], "a frame")?)?;
        loop {
            let read = input.read(frame.as_slice_mut().unwrap_or_default());
            self.carried.defer(input.may_be_text(), read.is_err());
            if !read? {
                return Ok(());
            }
            self.row(&frame.view(), &|| input.place())?;
        }
    }

    /// Answers rows of a table, each a step of one sequence.
    #[cfg(feature = "csv")]
    pub(super) fn table(&mut self) -> Result<()> {
        let args = self.args;
        let (columns, keep) = (args.table.columns(), args.written.keep());
        let mut input = TableRows::stdin(args.table.options_keeping(&columns, &keep));
        let (mut row, mut begun, mut encoding) = (Vec::new(), false, None);
        loop {
            let read = input.read(&mut row);
            self.carried.defer(input.is_doubtful(), read.is_err());
            if !read? {
                return Ok(());
            }
            let form = if args.quiet { ReportForm::None } else { ReportForm::Text };
            let mut notes = Notes::new(form);
            if !std::mem::replace(&mut begun, true) {
                note_names("stdin", input.column_names(), input.names_are_guessed(), &mut notes);
            }
            if encoding.is_none() {
                encoding = input.encoding();
                note_encoding("stdin", encoding, &mut notes);
            }
            notes.print_said();
            notes.lines().for_each(|text| say(args, &text));
            let (expected, found) = (self.row_len(), row.len());
            if found != expected && self.model.encoder().is_some() {
                return Err(several_columns(&input.place(), found));
            }
            if found != expected {
                let error = Error::InputSize { expected, found: vec![1, found] };
                return Err(anyhow::Error::from(error).context(input.place()));
            }
            self.answering.keep(input.kept());
            let view = ArrayView::from_shape(IxDyn(&[1, found]), &row)?;
            self.row(&view, &|| input.place())?;
        }
    }

    #[cfg(not(feature = "csv"))]
    pub(super) fn table(&mut self) -> Result<()> {
        let message = "expected no --csv: this build does not read tables (feature csv)";
        Err(crate::failure::Usage(message.to_owned()).into())
    }

    /// Answers lines of text.
    pub(super) fn text(&mut self, vocabulary: &Vocabulary) -> Result<()> {
        let mut input = TextLines::stdin();
        let mut number = 0;
        while let Some(line) = input.read()? {
            number += 1;
            let ids = vocabulary.encode(line, number).map_err(|error| {
                let hint = hint::of_token(&error, vocabulary);
                with_hint(anyhow::Error::from(error).context("stdin"), hint)
            })?;
            let place = || format!("stdin: line {number}");
            let result = if ids.is_empty() {
                self.carried.step_none()?
            } else {
                let steps = ids.len();
                let ids = Array1::from(ids).into_dyn().insert_axis(Axis(1));
                self.step_rows(&ids, steps).with_context(place)?
            };
            self.answer(&place, result)?;
        }
        Ok(())
    }

    /// Numbers of a row: an id, or those of a step.
    fn row_len(&self) -> usize {
        self.model.encoder().map_or(self.model.rnn().config().input_size, |_| 1)
    }

    /// Passes a row, (1, numbers), and answers it.
    fn row(&mut self, row: &ArrayViewD<'_, T>, place: &dyn Fn() -> String) -> Result<()> {
        let result = if self.model.encoder().is_some() {
            let numbers = row.index_axis(Axis(1), 0).mapv(Into::into);
            self.step_ids(&numbers, &place(), 1)?
        } else {
            if self.args.check_finite {
                all_finite(&format!("{}: input", place()), row, &[], &[])?;
            }
            self.carried.step(Batch::new(row.view(), false)?, 1)?
        };
        self.answer(place, result)
    }

    /// Passes ids, which are whole numbers.
    fn step_ids(
        &mut self,
        numbers: &ArrayD<f64>,
        place: &str,
        steps: usize,
    ) -> Result<ModelOutput<T>> {
        let count = self.model.encoder().map_or(0, Encoder::num_embeddings);
        let ids = ids(place, numbers, count, &[], |_| true)?;
        self.step_rows(&ids, steps).with_context(|| place.to_owned())
    }

    /// Passes ids, (L, N, 1), (N, L, 1) with `batch_first`, or (L, 1).
    fn step_rows(&mut self, ids: &ArrayD<i64>, steps: usize) -> Result<ModelOutput<T>, Error> {
        let encoder = self.model.encoder();
        let encoder = encoder.unwrap_or_else(|| unreachable!("ids without an encoder"));
        let batch = Batch::new(ids.view(), self.model.rnn().config().batch_first)?;
        self.carried.step(encoder.encode(batch)?, steps)
    }

    /// Writes an answer.
    fn answer(&mut self, place: &dyn Fn() -> String, result: ModelOutput<T>) -> Result<()> {
        let ModelOutput { prediction, h_n } = result;
        if self.args.check_finite {
            if let Prediction::Values(values) | Prediction::Top { values, .. } = &prediction {
                check_finite(self.args, &place(), "output", values)?;
            }
            check_finite(self.args, &place(), "h_n", &h_n)?;
        }
        let answering = &mut self.answering;
        self.carried.answer(h_n, || answering.write(&prediction))
    }
}
