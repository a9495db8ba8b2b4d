//! Ids as an input: whole numbers in a file, or the tokens of a text.

use std::ffi::OsStr;

use anyhow::Result;
use elman::files::{Source, read_text};
use elman::{Element, Encoder, Vocabulary, unpack_sequence};
use ndarray::{Array2, ArrayD, Axis};

use super::groups;
use super::input::{Input, pack_tensor};
use super::pass::Pass;
use super::rows::{Rows, Section, packed_of};
use super::sequences::{refuse_bool, shown, whole_number, with_data};
use super::table::check_table;
use crate::explain::hint;
use crate::failure::{Data, with_hint};

impl Input {
    /// Reads a text, a line for each sequence. `flags` are those that need a table, which it is not.
    pub(crate) fn text(input: &OsStr, vocabulary: &Vocabulary, flags: &[&str]) -> Result<Self> {
        let source = Source::parse(input);
        let place = source.to_string();
        check_table(flags, [], &place)?;
        let lines = vocabulary.encode_lines(&read_text(&source)?);
        let lines = lines.map_err(|error| {
            let hint = hint::of_token(&error, vocabulary);
            with_hint(anyhow::Error::from(error).context(place.clone()), hint)
        })?;
        Ok(Input::Text(place, lines))
    }

    /// Reads the ids of each sequence.
    pub(crate) fn read_sequences<T: Element>(self, pass: &Pass<'_, T>) -> Result<Vec<Vec<i64>>> {
        let count = pass.model.encoder().map_or(0, Encoder::num_embeddings);
        let batch = Axis(1 - usize::from(pass.batch_first()));
        Ok(match self {
            Input::Text(_, lines) => lines,
            other => match other.read_ids(pass, count)? {
                Rows::Padded(ids) if ids.ndim() == 2 => vec![ids.into_iter().collect()],
                Rows::Padded(ids) => {
                    ids.axis_iter(batch).map(|own| own.iter().copied().collect()).collect()
                }
                Rows::Packed(packed) => {
                    let own = unpack_sequence(&packed)?.into_iter();
                    own.map(|ids| ids.into_iter().collect()).collect()
                }
            },
        })
    }

    /// Reads ids, each below `count`.
    pub(super) fn read_ids<T: Element>(
        self,
        pass: &Pass<'_, T>,
        count: usize,
    ) -> Result<Rows<i64>> {
        match self {
            Input::Text(_, lines) => {
                let lines: Vec<_> = lines.into_iter().map(column).collect();
                Ok(Rows::Packed(packed_of(&lines, &[1])?))
            }
            Input::Tensor(file) => {
                refuse_bool(file.place(), file.header().stored)?;
                pass.ids(&pass.whole(), &file.read()?, count)
            }
            Input::Grouped(file, rows) => {
                let (place, numbers) = (file.place().to_owned(), file.read()?);
                let ids = ids(&place, &numbers.index_axis_move(Axis(1), 0), count, &[], |_| true)?;
                Ok(Rows::Packed(groups::packed(&ids, &rows)?))
            }
            Input::Packed(mut bundle, data) => {
                let numbers = bundle.read_as(data)?;
                let ids = ids(&bundle.entry_place(data), &numbers, count, &[], |_| true)?;
                let index = pass.index.clone();
                let index = index.unwrap_or_else(|| unreachable!("a packed input has an index"));
                Ok(Rows::Packed(with_data(index, ids)))
            }
            Input::Ragged(mut bundle) => {
                let own = (0..pass.batch).map(|index| {
                    let numbers = bundle.read_as(index)?;
                    ids(&bundle.entry_place(index), &numbers, count, &[], |_| true)
                });
                Ok(Rows::Packed(packed_of(&own.collect::<Result<Vec<_>>>()?, &[1])?))
            }
        }
    }
}

impl<T: Element> Pass<'_, T> {
    /// A section of a tensor of numbers as ids below `count`, packed if its sequences have lengths.
    pub(super) fn ids(
        &self,
        section: &Section,
        numbers: &ArrayD<f64>,
        count: usize,
    ) -> Result<Rows<i64>> {
        let time = usize::from(self.batch_first());
        let ids =
            ids(self.place, numbers, count, &self.first(section), |at| match &self.lengths {
                None => true,
                Some(lengths) if at.len() == 1 => at[0] < lengths[0],
                Some(lengths) => at[time] < lengths[at[1 - time]],
            })?;
        pack_tensor(ids, self, section)
    }
}

/// The ids of a line, (L, 1).
fn column(line: Vec<i64>) -> ArrayD<i64> {
    let shape = (line.len(), 1);
    let column = Array2::from_shape_vec(shape, line);
    column.unwrap_or_else(|_| unreachable!("as many ids as the line has")).into_dyn()
}

/// Numbers as ids below `count`, on an axis of their own, (.., 1). Those that are not `seen`, behind the end of a
/// sequence, may be anything. `first` is the first index of a part within the whole tensor.
pub(crate) fn ids(
    place: &str,
    numbers: &ArrayD<f64>,
    count: usize,
    first: &[usize],
    seen: impl Fn(&[usize]) -> bool,
) -> Result<ArrayD<i64>> {
    let mut ids = Vec::with_capacity(numbers.len());
    for (at, &number) in numbers.indexed_iter() {
        let id = whole_number(number).filter(|&id| id < count);
        if let Some(Ok(id)) = id.map(i64::try_from) {
            ids.push(id);
            continue;
        }
        let mut at = ndarray::Dimension::slice(&at).to_vec();
        at.iter_mut().zip(first).for_each(|(at, first)| *at += first);
        if seen(&at) {
            let (last, found) = (count.saturating_sub(1), shown(number));
            let message = format!(
                "{place}: expected ids, whole numbers from 0 to {last}, got {found} at {at:?}"
            );
            return Err(Data(message).into());
        }
        ids.push(0);
    }
    let ids = ArrayD::from_shape_vec(numbers.raw_dim(), ids);
    let ids = ids.unwrap_or_else(|_| unreachable!("an id for each number"));
    let features = Axis(ids.ndim());
    Ok(ids.insert_axis(features))
}
