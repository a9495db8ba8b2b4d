//! The results of a decoder, and how they take the form of an input.

use ndarray::{ArrayD, Axis};

use crate::batch::{Batch, Padding};
use crate::element::Element;
use crate::error::Error;

/// The index behind the end of a sequence, and of a sequence without steps.
const NO_CLASS: i64 = -1;

/// The result of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction<T> {
    /// C values for each row, (.., C).
    Values(ArrayD<T>),
    /// The index of the largest value of each row, (..).
    Classes(ArrayD<i64>),
    /// The largest values of each row and their indices, (.., K).
    Top {
        /// The values, in descending order.
        values: ArrayD<T>,
        /// The index of each value.
        indices: ArrayD<i64>,
    },
}

impl<T: Element> Prediction<T> {
    /// Gives the rows of packed outputs the form of their input.
    pub(super) fn restore(self, batch: &Batch<'_, T>, padding: &Padding<T>) -> Result<Self, Error> {
        let behind = Padding { value: NO_CLASS, total_length: padding.total_length };
        Ok(match self {
            Prediction::Values(values) => Prediction::Values(restored(batch, values, padding)?),
            Prediction::Classes(classes) => {
                let classes = classes.insert_axis(Axis(1));
                let classes = restored(batch, classes, &behind)?;
                let features = Axis(classes.ndim() - 1);
                Prediction::Classes(classes.index_axis_move(features, 0))
            }
            Prediction::Top { values, indices } => Prediction::Top {
                values: restored(batch, values, padding)?,
                indices: restored(batch, indices, &behind)?,
            },
        })
    }

    /// Replaces the results of rows that mean nothing: values by the padding, indices by -1.
    pub(super) fn fill(&mut self, empty: &[bool], padding: T) {
        for (row, _) in empty.iter().enumerate().filter(|(_, empty)| **empty) {
            match self {
                Prediction::Values(values) => values.index_axis_mut(Axis(0), row).fill(padding),
                Prediction::Classes(classes) => classes[row] = NO_CLASS,
                Prediction::Top { values, indices } => {
                    values.index_axis_mut(Axis(0), row).fill(padding);
                    indices.index_axis_mut(Axis(0), row).fill(NO_CLASS);
                }
            }
        }
    }

    /// The results of the first row, without an axis for rows.
    #[must_use]
    pub fn of_one(self) -> Self {
        match self {
            Prediction::Values(values) => Prediction::Values(values.index_axis_move(Axis(0), 0)),
            Prediction::Classes(classes) => {
                Prediction::Classes(classes.index_axis_move(Axis(0), 0))
            }
            Prediction::Top { values, indices } => Prediction::Top {
                values: values.index_axis_move(Axis(0), 0),
                indices: indices.index_axis_move(Axis(0), 0),
            },
        }
    }
}

/// Packed rows, (rows, features), in the form of the input.
fn restored<T: Element, U: Clone>(
    batch: &Batch<'_, T>,
    rows: ArrayD<U>,
    padding: &Padding<U>,
) -> Result<ArrayD<U>, Error> {
    let features = rows.len_of(Axis(1));
    batch.restore(rows.into_raw_vec_and_offset().0, features, padding)
}
