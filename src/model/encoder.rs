//! From ids to the rows that an RNN takes in.

use ndarray::{ArrayD, Dimension};

use crate::batch::Batch;
use crate::element::Element;
use crate::error::Error;
use crate::memory::{OutOfMemory, reserved, values};
use crate::params::WEIGHTS;

/// Turns ids, whole numbers from 0 to V - 1, into rows of `H_in` features.
///
/// ```
/// use elman::{Batch, Encoder};
/// use ndarray::{arr1, arr2};
///
/// let weight = arr2(&[[0.5_f32, 1.0], [2.0, 3.0], [4.0, 5.0]]).into_dyn();
/// let encoder = Encoder::embedding(&weight)?;
/// assert_eq!((encoder.num_embeddings(), encoder.features()), (3, 2));
/// let ids = arr1(&[2_i64, 0]).into_dyn();
/// encoder.encode(Batch::of_ids(ids.view(), None, false)?)?;
/// let ids = arr1(&[2_i64, 3]).into_dyn();
/// let error = encoder.encode(Batch::of_ids(ids.view(), None, false)?).unwrap_err();
/// assert_eq!(error.to_string(), "input: expected ids from 0 to 2, got 3 at step 1 of sequence 0");
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Encoder<T>(Table<T>);

#[derive(Clone, Debug)]
enum Table<T> {
    /// (V, `H_in`) in row-major order.
    Rows { weight: Vec<T>, features: usize },
    /// The rows of the identity.
    OneHot { features: usize },
}

impl<T: Element> Encoder<T> {
    /// PyTorch's `nn.Embedding`: id i becomes row i of `weight`, (V, `H_in`).
    ///
    /// # Errors
    /// [`Error::Rank`], [`Error::ZeroSize`] and [`Error::OutOfMemory`].
    pub fn embedding(weight: &ArrayD<T>) -> Result<Self, Error> {
        let &[count, features] = weight.shape() else {
            let expected = "2 dimensions, (num_embeddings, embedding_dim)";
            return Err(Error::rank("weight", expected, weight.shape()));
        };
        for (name, size) in [("num_embeddings", count), ("embedding_dim", features)] {
            if size == 0 {
                return Err(Error::ZeroSize { name });
            }
        }
        Ok(Encoder(Table::Rows { weight: values(weight, WEIGHTS)?, features }))
    }

    /// One-hot rows: id i becomes `features` numbers, of which number i is 1 and the others are 0.
    pub fn one_hot(features: usize) -> Self {
        Encoder(Table::OneHot { features })
    }

    /// V, the number of ids.
    pub fn num_embeddings(&self) -> usize {
        match &self.0 {
            Table::Rows { weight, features } => weight.len() / features,
            Table::OneHot { features } => *features,
        }
    }

    /// `H_in`, the features of a row.
    pub fn features(&self) -> usize {
        match self.0 {
            Table::Rows { features, .. } | Table::OneHot { features } => features,
        }
    }

    /// The rows of a batch of ids, in the same order. The ids behind the end of a sequence are not in the batch.
    ///
    /// # Errors
    /// [`Error::Id`] for the first id outside 0 to V - 1; [`Error::InputSize`] unless each step is one id;
    /// [`Error::OutOfMemory`].
    pub fn encode<'a>(&self, ids: Batch<'a, i64>) -> Result<Batch<'a, T>, Error> {
        if ids.shape.slice().last() != Some(&1) {
            return Err(Error::InputSize { expected: 1, found: ids.shape.slice().to_vec() });
        }
        let features = self.features();
        let len = ids.rows.len().checked_mul(features);
        let len = len.ok_or(OutOfMemory { what: "input", bytes: usize::MAX })?;
        let mut rows = reserved(len, "input")?;
        for (row, &found) in ids.rows.iter().enumerate() {
            let Some(id) = usize::try_from(found).ok().filter(|&id| id < self.num_embeddings())
            else {
                let (step, sequence) = ids.place(row);
                return Err(Error::Id { step, sequence, found, count: self.num_embeddings() });
            };
            rows.resize((row + 1) * features, T::ZERO);
            self.fill(id, &mut rows[row * features..]);
        }
        Ok(ids.with_rows(rows, features))
    }

    /// Writes the row of an id below V to `row`, (`H_in`).
    pub(super) fn fill(&self, id: usize, row: &mut [T]) {
        match &self.0 {
            Table::Rows { weight, features } => {
                row.copy_from_slice(&weight[id * features..][..*features]);
            }
            Table::OneHot { .. } => {
                row.fill(T::ZERO);
                row[id] = T::ONE;
            }
        }
    }
}
