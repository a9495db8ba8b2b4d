//! The sequences of an input in memory, each of which is passed alone.

use std::ops::Range;

use anyhow::Result;
use elman::{
    Batch, Config, Decoder, Element, Error, Generator, Keep, Model, Options, Params, Rnn, Watch,
    unpack_sequence,
};
use ndarray::{Array2, Array3, ArrayD, Axis, ShapeError};

use super::about::About;
use super::row::RowStates;
use crate::failure::Data;
use crate::pipeline::rows::Rows;
use crate::progress::{self, Bar};

/// The sequences of an input, and the model that passes them.
pub(crate) struct Sequences<T> {
    pub(crate) about: About,
    pub(crate) model: Model<T>,
    pub(super) rows: Kept<T>,
    /// (D * `num_layers`, N, `H_out`).
    pub(super) h_0: Array3<T>,
}

/// Sequences in memory.
pub(super) enum Kept<T> {
    /// (L, `H_in`) each.
    Numbers(Vec<ArrayD<T>>),
    /// (L, 1) each.
    Ids(Vec<ArrayD<i64>>),
}

impl<T: Element> Sequences<T> {
    /// The example of PyTorch's documentation after `torch.manual_seed(0)`: `nn.RNN(10, 20, 2)`,
    /// `torch.randn(5, 3, 10)`, `torch.randn(2, 3, 20)`.
    pub(crate) fn example() -> Result<Self> {
        let mut generator = Generator::new(0);
        let config = Config { num_layers: 2, ..Config::new(10, 20) };
        let model = of_params(Params::init(config.clone(), &mut generator)?)?;
        let mut normal = |shape: [usize; 3]| {
            let mut values = vec![T::ZERO; shape.iter().product()];
            generator.normal(&mut values);
            Array3::from_shape_vec(shape, values)
        };
        let (x, h_0) = (normal([5, 3, 10])?, normal([2, 3, 20])?);
        let rows = x.axis_iter(Axis(1)).map(|row| row.to_owned().into_dyn()).collect();
        let about = About {
            config,
            dtype: T::DTYPE,
            reversed: false,
            encoded: false,
            weights: None,
            state_dict: true,
            input: "torch.randn(5, 3, 10)".to_owned(),
            h_0: Some("torch.randn(2, 3, 20)".to_owned()),
            names: Vec::new(),
            packed: false,
            batched: true,
            shape: vec![5, 3, 10],
        };
        Ok(Sequences { about, model, rows: Kept::Numbers(rows), h_0 })
    }

    /// N.
    pub(crate) fn count(&self) -> usize {
        match &self.rows {
            Kept::Numbers(rows) => rows.len(),
            Kept::Ids(rows) => rows.len(),
        }
    }

    /// L of a sequence.
    pub(crate) fn steps(&self, row: usize) -> usize {
        match &self.rows {
            Kept::Numbers(rows) => rows[row].len_of(Axis(0)),
            Kept::Ids(rows) => rows[row].len_of(Axis(0)),
        }
    }

    /// A bar over the steps of some sequences.
    pub(crate) fn bar(&self, rows: Range<usize>) -> Bar {
        progress::steps(&self.about.config, rows.map(|row| self.steps(row)).sum(), true)
    }

    /// Passes a sequence through the layer, on the threads of the current pool. The bar counts its steps.
    pub(crate) fn pass(&self, row: usize, bar: &Bar) -> Result<RowStates> {
        if self.steps(row) == 0 {
            let message =
                format!("{}: expected a sequence of steps, row {row} has none", self.about.input);
            return Err(Data(message).into());
        }
        let (rnn, x) = (self.model.rnn(), self.numbers(row)?);
        let h_0 = self.h_0.index_axis(Axis(1), row);
        let (keep, passed) = (Keep::All, |rows| bar.inc(rows as u64));
        let watch = Some(Watch(&passed));
        let options = Options { h_0: Some(h_0.into_dyn()), keep, watch, ..Options::default() };
        let output = rnn.forward(Batch::new(x.view(), false)?, options)?;
        let layers = output.lower_layers.into_iter().chain([output.output]);
        let config = rnn.config();
        Ok(RowStates {
            x: as_f64(&x)?,
            ids: match &self.rows {
                Kept::Numbers(_) => None,
                Kept::Ids(rows) => Some(rows[row].iter().copied().collect()),
            },
            h_0: h_0.mapv(Into::into),
            layers: layers.map(|layer| as_f64(&layer)).collect::<Result<_, _>>()?,
            hidden_size: config.hidden_size,
            directions: config.num_directions(),
            reversed: rnn.is_reversed(),
        })
    }

    /// The rows that the layer reads, (L, `H_in`).
    fn numbers(&self, row: usize) -> Result<ArrayD<T>> {
        let (ids, encoder) = match (&self.rows, self.model.encoder()) {
            (Kept::Numbers(rows), _) => return Ok(rows[row].clone()),
            (Kept::Ids(rows), Some(encoder)) => (&rows[row], encoder),
            (Kept::Ids(_), None) => unreachable!("ids without an encoder"),
        };
        let batch = encoder.encode(Batch::new(ids.view(), false)?)?;
        let shape = vec![ids.len(), encoder.features()];
        Ok(ArrayD::from_shape_vec(shape, batch.rows().to_vec())?)
    }
}

/// f64 holds the numbers of either type.
fn as_f64<T: Element>(tensor: &ArrayD<T>) -> Result<Array2<f64>, ShapeError> {
    tensor.mapv(Into::<f64>::into).into_dimensionality()
}

/// A model of a layer alone.
pub(super) fn of_params<T: Element>(params: Params<T>) -> Result<Model<T>, Error> {
    Model::new(None, Rnn::from_params(params)?, Decoder::default())
}

/// The sequences of a batch, (L, features) each, in its order.
pub(super) fn split<U: Clone>(rows: Rows<U>, batch_first: bool) -> Result<Vec<ArrayD<U>>> {
    Ok(match rows {
        Rows::Packed(packed) => unpack_sequence(&packed)?,
        Rows::Padded(tensor) if tensor.ndim() == 2 => vec![tensor],
        Rows::Padded(tensor) => {
            let axis = Axis(usize::from(!batch_first));
            tensor.axis_iter(axis).map(|row| row.to_owned()).collect()
        }
    })
}
