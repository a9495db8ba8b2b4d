//! The output of a run: hidden states, or what a model's decoder makes of them; as tensors, or as text.

use anyhow::Result;
use elman::files::{Sink, TensorFormat, shortest, write_npy, write_npz};
use elman::{Element, Pool, Pooling, Prediction};
use ndarray::{ArrayD, ArrayViewD, Axis};

use super::beside::{Lines, cell};
use super::pass::{Form, Pass, Stage};
use super::rows::{Rows, Section, reshaped};
use crate::numbers::all_finite;

/// The index behind the end of a sequence.
const NO_CLASS: i64 = -1;

/// The output of a run that was computed whole.
pub(crate) enum Outcome<T> {
    /// Numbers for each step.
    Rows(Rows<T>),
    /// Numbers for each sequence; classes, or the first of them, for each step or sequence.
    Whole(Prediction<T>),
}

pub(crate) struct Results<T> {
    /// `None` if it has been written section by section.
    pub(crate) output: Option<Outcome<T>>,
    pub(crate) h_n: ArrayD<T>,
    /// The last output of each sequence, (N, D * `H_out`), or (D * `H_out`).
    pub(crate) last: Option<ArrayD<T>>,
    /// `h_l0`, `h_l0_reverse`, `h_l1`, ..., each in the layout of the output, with `H_out` features.
    pub(crate) all_hidden: Vec<(String, ArrayD<T>)>,
    /// Whether nearly all hidden states lie in the flat part of tanh.
    pub(crate) saturated: bool,
}

/// The decoder of a model over the outputs of a run, part by part.
pub(super) struct Decoding<'a, T> {
    pass: &'a Pass<'a, T>,
    /// The outputs so far, if the decoder pools them.
    pooling: Option<Pooling<T>>,
    /// Whether there is an output: a head may take longer than the layer.
    wanted: bool,
}

impl<'a, T: Element> Decoding<'a, T> {
    pub(super) fn new(pass: &'a Pass<'_, T>, wanted: bool) -> Result<Self> {
        let pool = pass.model.decoder().pool;
        let pooling = || Pooling::new(pool, pass.batch, pass.width());
        let pooling = (wanted && pool != Pool::Steps).then(pooling).transpose()?;
        Ok(Decoding { pass, pooling, wanted })
    }

    /// Decodes the next part of the layer's output; `None` if it is pooled or not wanted.
    pub(super) fn part(
        &mut self,
        section: &Section,
        output: Rows<T>,
    ) -> Result<Option<Outcome<T>>> {
        if !self.wanted {
            return Ok(None);
        }
        let Some(pooling) = &mut self.pooling else {
            let decoded = self.pass.decode_steps(section, output)?;
            match &decoded {
                // The layer's own output has been checked.
                Outcome::Rows(rows) if !self.pass.is_hidden() => {
                    self.pass.check(Stage::Output, section, rows)?;
                }
                Outcome::Rows(_) => {}
                Outcome::Whole(prediction) => self.pass.check_prediction(prediction)?,
            }
            return Ok(Some(decoded));
        };
        // A part of a packed input is in packed order.
        let order = match (&self.pass.index, &output) {
            (Some(index), Rows::Packed(own)) if own.sorted_indices.is_none() => {
                index.sorted_indices.as_deref()
            }
            _ => None,
        };
        let number = |n| order.map_or(section.rows.start + n, |order| order[n]);
        pooling.add(number, &output.batch(self.pass.batch_first())?);
        Ok(None)
    }

    /// The prediction for each sequence, if the outputs were pooled. `h_n` is as it is written.
    pub(super) fn finish(self, h_n: &ArrayD<T>) -> Result<Option<Outcome<T>>> {
        let Some(pooling) = self.pooling else { return Ok(None) };
        let pass = self.pass;
        let h_n = reshaped(h_n.clone(), &pass.rnn.hidden_shape(Some(pass.batch)));
        let (decoder, kernel) = (pass.model.decoder(), pass.rnn.kernel());
        let prediction = decoder.decode_pooled(pooling, &h_n, pass.padding(), kernel)?;
        let unbatched = pass.form == Form::Unbatched;
        let prediction = if unbatched { prediction.of_one() } else { prediction };
        pass.check_prediction(&prediction)?;
        Ok(Some(Outcome::Whole(prediction)))
    }
}

impl<T: Element> Pass<'_, T> {
    /// Passes each row of an output through the model's decoder.
    fn decode_steps(&self, section: &Section, output: Rows<T>) -> Result<Outcome<T>> {
        if self.is_hidden() {
            return Ok(Outcome::Rows(output));
        }
        let (form, data) = output.without_data();
        let indices = |own: Rows<i64>| self.tensor(section, own, NO_CLASS);
        Ok(match self.model.decoder().decode(data, self.rnn.kernel())? {
            Prediction::Values(values) => Outcome::Rows(form.with_data(values)?),
            Prediction::Classes(classes) => {
                Outcome::Whole(Prediction::Classes(indices(form.with_data(classes)?)?))
            }
            Prediction::Top { values, indices: own } => Outcome::Whole(Prediction::Top {
                values: self.tensor(section, form.with_data(values)?, self.padding())?,
                indices: indices(form.with_data(own)?)?,
            }),
        })
    }

    /// Reports NaN and infinity in the values of a prediction, if that is asked for. Behind the end of a sequence they are
    /// meant if the padding is one of them.
    fn check_prediction(&self, prediction: &Prediction<T>) -> Result<()> {
        let (Prediction::Values(values) | Prediction::Top { values, .. }) = prediction else {
            return Ok(());
        };
        if !self.options.check_finite || !self.padding().is_finite() {
            return Ok(());
        }
        let [_, axes, ..] = self.axes(false);
        all_finite("output", &values.view(), &axes, &[])
    }

    /// A line of text for each sequence, its numbers, classes or names between tabs.
    pub(crate) fn lines(&self, outcome: Outcome<T>, labels: Option<&[String]>) -> Result<String> {
        let steps = self.model.decoder().pool == Pool::Steps;
        let prediction = match outcome {
            Outcome::Rows(rows) => {
                Prediction::Values(self.tensor(&self.whole(), rows, self.padding())?)
            }
            Outcome::Whole(prediction) => prediction,
        };
        let names = Names { labels, separator: "\t" };
        let line = |n| {
            let len = self.lengths.as_ref().map_or(self.steps, |lengths| lengths[n]);
            let place = |t| if self.batch_first() { vec![n, t] } else { vec![t, n] };
            let row = if steps { (0..len).map(place).collect() } else { vec![vec![n]] };
            names.row(&prediction, &row)
        };
        Ok((0..self.batch).map(line).collect())
    }
}

/// Writes classes as int64 or as text, and the first of them as an .npz or as text.
pub(super) fn write_classes<T: Element>(
    sink: &mut Sink,
    format: TensorFormat,
    prediction: &Prediction<T>,
    labels: Option<&[String]>,
    lines: &Lines<'_>,
) -> Result<()> {
    let separator = match format {
        TensorFormat::Csv => ",",
        TensorFormat::Tsv | TensorFormat::Txt => "\t",
        TensorFormat::Npy => {
            match prediction {
                Prediction::Values(_) => {}
                Prediction::Classes(classes) => {
                    sink.write(|file| write_npy(file, &classes.view()))?;
                }
                Prediction::Top { values, indices } => {
                    write_npz(sink, &[("values", values), ("indices", indices)], "")?;
                }
            }
            return Ok(());
        }
    };
    let text = Names { labels, separator }.table(prediction);
    Ok(sink.write(|file| lines.write(file, |file| file.write_all(text.as_bytes())))?)
}

/// How classes are written as text.
pub(super) struct Names<'a> {
    pub(super) labels: Option<&'a [String]>,
    pub(super) separator: &'static str,
}

impl Names<'_> {
    /// The line of a sequence, with the cells of each of its `steps`, or of its prediction.
    pub(super) fn line<T: Element>(&self, prediction: &Prediction<T>, steps: bool) -> String {
        let row =
            if steps { (0..outer(prediction)).map(|t| vec![t]).collect() } else { vec![vec![]] };
        self.row(prediction, &row)
    }

    /// A table of classes, or of the first of them with their values: rows and columns, or a row for each of one axis.
    pub(super) fn table<T: Element>(&self, prediction: &Prediction<T>) -> String {
        let (Prediction::Classes(indices) | Prediction::Top { indices, .. }) = prediction else {
            return String::new();
        };
        let own = usize::from(matches!(prediction, Prediction::Top { .. }));
        let outer = &indices.shape()[..indices.ndim() - own];
        let Some(&count) = outer.first() else { return self.row(prediction, &[vec![]]) };
        let places = |row| match outer.get(1) {
            Some(&columns) => (0..columns).map(|n| vec![row, n]).collect(),
            None => vec![vec![row]],
        };
        (0..count).map(|row| self.row(prediction, &places(row))).collect()
    }

    /// A line with the cells at these places of the outer axes, one behind the other.
    fn row<T: Element>(&self, prediction: &Prediction<T>, places: &[Vec<usize>]) -> String {
        let cells = places.iter().flat_map(|at| self.cells(prediction, at));
        cells.collect::<Vec<_>>().join(self.separator) + "\n"
    }

    /// The cells of the row at these places of the outer axes.
    fn cells<T: Element>(&self, prediction: &Prediction<T>, at: &[usize]) -> Vec<String> {
        match prediction {
            Prediction::Values(values) => {
                row(values, at).into_iter().map(|&x| shortest(x)).collect()
            }
            Prediction::Classes(classes) => {
                row(classes, at).into_iter().map(|&i| self.name(i)).collect()
            }
            Prediction::Top { values, indices } => {
                let both = row(indices, at).into_iter().zip(row(values, at));
                both.flat_map(|(&i, &value)| [self.name(i), shortest(value)]).collect()
            }
        }
    }

    /// The name of a class, or its number; nothing for the padding of named classes.
    fn name(&self, index: i64) -> String {
        let Some(labels) = self.labels else { return index.to_string() };
        let name = usize::try_from(index).ok().and_then(|index| labels.get(index));
        let name = name.map(String::as_str).unwrap_or_default();
        cell(name, self.separator)
    }
}

/// The size of the first axis.
fn outer<T>(prediction: &Prediction<T>) -> usize {
    match prediction {
        Prediction::Values(own) | Prediction::Top { values: own, .. } => own.shape()[0],
        Prediction::Classes(own) => own.shape()[0],
    }
}

/// The numbers at these places of the first axes.
fn row<'a, U>(tensor: &'a ArrayD<U>, at: &[usize]) -> Vec<&'a U> {
    let own =
        at.iter().fold(tensor.view(), |own: ArrayViewD<'a, U>, &i| own.index_axis_move(Axis(0), i));
    own.into_iter().collect()
}
