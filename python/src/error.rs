//! The crate's errors as Python's. The words are the same.

use std::error::Error as _;
use std::io;

use elman::files::FileError;
use elman::{CheckpointError, Error, OutOfMemory};
use pyo3::PyErr;
use pyo3::exceptions::{PyMemoryError, PyValueError};

/// The exception for an error of the layer.
pub(crate) fn of_layer(error: &Error) -> PyErr {
    match error {
        Error::OutOfMemory(error) => out_of_memory(*error),
        error => PyValueError::new_err(error.to_string()),
    }
}

/// The exception for an error of a file: one of the system keeps its class, such as `FileNotFoundError`.
pub(crate) fn of_checkpoint(error: &CheckpointError) -> PyErr {
    match error {
        CheckpointError::Layer(error) => of_layer(error),
        CheckpointError::File(error) => of_file(error),
        error => PyValueError::new_err(error.to_string()),
    }
}

fn of_file(error: &FileError) -> PyErr {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(system) = cause.downcast_ref::<io::Error>() {
            return io::Error::new(system.kind(), with_causes(error)).into();
        }
        if let Some(memory) = cause.downcast_ref::<OutOfMemory>() {
            return out_of_memory(*memory);
        }
        source = cause.source();
    }
    PyValueError::new_err(with_causes(error))
}

fn out_of_memory(error: OutOfMemory) -> PyErr {
    PyMemoryError::new_err(error.to_string())
}

/// An error and its causes in one line, as the command prints them.
fn with_causes(error: &FileError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}
