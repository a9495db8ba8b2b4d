//! Linear layers behind an RNN, with activations before, between and behind them.

use ndarray::ArrayD;

use super::function::sigmoid;
use crate::element::Element;
use crate::error::Error;
use crate::kernel::{Activation, Aligned, Kernel, Panels, Product, RowsMut, Walk};
use crate::memory::values;
use crate::params::WEIGHTS;
use crate::rnn::pack_matrix;

/// PyTorch's `torch.nn.Linear`, `y = x A^T + b`, with its weights packed for the kernel.
///
/// The sums have the order of those of the RNN, so a row's result depends neither on the other rows nor on the
/// instruction set.
#[derive(Clone, Debug)]
pub struct Linear<T> {
    /// Panels of (`out_features`, `in_features`).
    weight: Vec<Aligned<T>>,
    /// (`out_features`); zeros without bias.
    bias: Vec<T>,
    in_features: usize,
}

impl<T: Element> Linear<T> {
    /// A layer of `weight`, (`out_features`, `in_features`), and `bias`, (`out_features`).
    ///
    /// # Errors
    /// [`Error::Rank`], [`Error::ZeroSize`], [`Error::TensorShape`] for the bias, and [`Error::OutOfMemory`].
    pub fn new(weight: &ArrayD<T>, bias: Option<&ArrayD<T>>) -> Result<Self, Error> {
        let &[out_features, in_features] = weight.shape() else {
            let expected = "2 dimensions, (out_features, in_features)";
            return Err(Error::rank("weight", expected, weight.shape()));
        };
        for (name, size) in [("out_features", out_features), ("in_features", in_features)] {
            if size == 0 {
                return Err(Error::ZeroSize { name });
            }
        }
        let bias = match bias {
            None => crate::zeros(&[out_features], WEIGHTS)?,
            Some(bias) if bias.shape() == [out_features] => values(bias, WEIGHTS)?,
            Some(bias) => {
                let (expected, found) = (vec![out_features], bias.shape().to_vec());
                return Err(Error::TensorShape { name: "bias".to_owned(), expected, found });
            }
        };
        Ok(Linear { weight: pack_matrix(weight)?, bias, in_features })
    }

    /// Features that the layer takes in.
    pub fn in_features(&self) -> usize {
        self.in_features
    }

    /// Features that the layer puts out.
    pub fn out_features(&self) -> usize {
        self.bias.len()
    }

    /// `out = x A^T + b`; `x` is (rows, `in_features`).
    fn run(&self, kernel: Kernel, x: &[T], out: &mut [T]) {
        let (rows, columns) = (x.len() / self.in_features, self.bias.len());
        kernel.product(Product {
            x,
            x_stride: self.in_features,
            panels: Panels::new(&self.weight, columns, self.in_features),
            start: &self.bias,
            start_stride: 0,
            out: RowsMut::new(out, rows, columns, columns),
            activation: Activation::Identity,
            walk: Walk::Forwards,
        });
    }
}

/// One layer of a [`Head`].
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Link<T> {
    Linear(Linear<T>),
    Relu,
    Tanh,
    Sigmoid,
}

/// A chain of layers on the output of an RNN.
///
/// ```
/// use elman::{Head, Linear, Link};
/// use ndarray::arr2;
///
/// // nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
/// let first = Linear::new(&arr2(&[[1.0_f32, -1.0], [0.5, 0.5]]).into_dyn(), None)?;
/// let second = Linear::new(&arr2(&[[1.0_f32, 2.0]]).into_dyn(), None)?;
/// let head = Head::new(vec![Link::Linear(first), Link::Relu, Link::Linear(second)])?;
/// assert_eq!((head.in_features(), head.out_features()), (Some(2), Some(1)));
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Head<T> {
    links: Vec<Link<T>>,
}

impl<T> Default for Head<T> {
    /// The chain without layers: it leaves its input as it is.
    fn default() -> Self {
        Head { links: Vec::new() }
    }
}

impl<T: Element> Head<T> {
    /// A chain of these layers.
    ///
    /// # Errors
    /// [`Error::Features`] if a layer does not take as many features as the one before puts out.
    pub fn new(links: Vec<Link<T>>) -> Result<Self, Error> {
        let head = Head { links };
        for pair in head.linears().collect::<Vec<_>>().windows(2) {
            let (expected, found) = (pair[0].out_features(), pair[1].in_features());
            if expected != found {
                return Err(Error::Features { name: "the next linear layer", expected, found });
            }
        }
        Ok(head)
    }

    /// Features that the chain takes in; `None` for any number.
    pub fn in_features(&self) -> Option<usize> {
        self.linears().next().map(Linear::in_features)
    }

    /// Features that the chain puts out; `None` for as many as it takes in.
    pub fn out_features(&self) -> Option<usize> {
        self.linears().last().map(Linear::out_features)
    }

    /// Whether the chain has no layers.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    fn linears(&self) -> impl Iterator<Item = &Linear<T>> {
        self.links.iter().filter_map(|link| match link {
            Link::Linear(linear) => Some(linear),
            _ => None,
        })
    }

    /// Multiplications for a row.
    pub(super) fn work(&self) -> usize {
        let work = |linear: &Linear<T>| linear.in_features.saturating_mul(linear.bias.len());
        self.linears().map(work).fold(0, usize::saturating_add)
    }

    /// Features of the widest row between the layers, of rows that come in with `width`.
    pub(super) fn widest(&self, width: usize) -> usize {
        self.linears().map(Linear::out_features).fold(width, usize::max)
    }

    /// Passes the rows that stand at the beginning of the first buffer, (rows, features), through the chain. Either
    /// buffer has room for `rows` of the widest rows. The result stands in the first one, (rows, features out).
    pub(super) fn run(
        &self,
        kernel: Kernel,
        rows: usize,
        width: usize,
        [from, to]: &mut [Vec<T>; 2],
    ) {
        let mut len = rows * width;
        for link in &self.links {
            match link {
                Link::Linear(linear) => {
                    let out = rows * linear.out_features();
                    linear.run(kernel, &from[..len], &mut to[..out]);
                    std::mem::swap(from, to);
                    len = out;
                }
                Link::Relu => kernel.activate(&mut from[..len], Activation::Relu),
                Link::Tanh => kernel.activate(&mut from[..len], Activation::Tanh),
                Link::Sigmoid => sigmoid(&mut from[..len]),
            }
        }
        // A sum can make a NaN with other bits.
        for value in &mut from[..len] {
            if value.is_nan() {
                *value = T::NAN;
            }
        }
    }
}
