//! `elman._native`: the layer for Python, on arrays of NumPy.
//!
//! | module | contents |
//! |---|---|
//! | `array` | arrays in and out without a copy, lengths and indices |
//! | `error` | the crate's errors as Python's, with the same words |
//! | `pass` | a pass without the GIL, on the calling thread or on the pool |
//! | `threads` | the pool of this process |
//! | `random` | PyTorch's global generator |
//! | `layer`, `rnn`, `model` | a layer of either type of number, and the classes `RNN` and `Model` |
//! | `parts` | the parts around a layer, from arguments |
//! | `load` | layers from files and pickles |
//! | `packed` | the functions of `torch.nn.utils.rnn`, on items of any type |
//!
//! A mutex of this module is locked only by a thread that holds the GIL and calls no function of Python meanwhile, which
//! might release it. No other thread can therefore hold the mutex when the process forks: the child finds all of them
//! unlocked.

#![allow(clippy::doc_markdown, reason = "docstrings of Python")]
#![allow(clippy::needless_pass_by_value, reason = "arguments are made from Python's objects")]

mod array;
mod error;
mod layer;
mod load;
mod model;
mod packed;
mod parts;
mod pass;
mod random;
mod rnn;
mod threads;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<rnn::PyRnn>()?;
    module.add_class::<model::PyModel>()?;
    load::functions(module)?;
    model::functions(module)?;
    random::functions(module)?;
    threads::functions(module)?;
    packed::functions(module)
}
