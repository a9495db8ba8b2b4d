//! Tables. What is read from one is the same after it has been written and read again.

use elman::Element;
use elman::files::{
    Accepts, File, FileError, FirstLine, Source, StoredType, TableOptions, TensorFormat, open_with,
};
use ndarray::ArrayD;

use super::{pipe, scratch, ways};

pub fn run(data: &[u8]) {
    // The binary formats have targets of their own.
    if data.starts_with(b"PK") || data.starts_with(b"\x93") {
        return;
    }
    pipe::check(data);
    let source = scratch::source(data);
    let Some(single) = read::<f32>(&source) else { return };
    let Some(double) = read::<f64>(&source) else { panic!("doubles, but no singles") };
    assert_eq!(single.shape(), double.shape());
    ways::check_file(|| ways::open(&source).unwrap());
    // Columns by their names, of which two may be the same.
    let names = ways::open(&source).unwrap().column_names().to_vec();
    match columns_of(&source, &names) {
        Ok(file) => assert_eq!(file.into_tensor().unwrap().header().shape, single.shape()),
        Err(error) => ways::printable(&error.to_string()),
    }
    // By their numbers, backwards.
    let columns: Vec<_> = (1..=single.shape()[1]).rev().map(|at| at.to_string()).collect();
    if let Ok(File::Tensor(tensor)) = columns_of(&source, &columns) {
        assert_eq!(tensor.header().shape, single.shape());
    }
    let beyond = [(single.shape()[1] + 1).to_string()];
    if let Ok(File::Tensor(tensor)) = columns_of(&source, &beyond) {
        assert!(tensor.column_names() == beyond, "only a name can say so");
    }
    // A table of names alone cannot be written.
    if single.is_empty() {
        return;
    }
    same(&rewritten(&single), &single);
    same(&rewritten(&double), &double);
}

fn columns_of(source: &Source, columns: &[String]) -> Result<File, FileError> {
    let first_line = FirstLine::Guess;
    let options = TableOptions { columns, first_line, ..TableOptions::default() };
    open_with(source, Accepts::Sequences, &options)
}

fn read<T: Element>(source: &Source) -> Option<ArrayD<T>> {
    let Ok(tensor) = ways::open(source) else { return None };
    assert_eq!(tensor.header().stored, StoredType::Text);
    let shape = tensor.header().shape.clone();
    match tensor.read() {
        Ok(array) => {
            assert_eq!(array.shape(), shape);
            Some(array)
        }
        // Found out when the type is known.
        Err(FileError::Overflow { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// The array, written as a table and read again.
fn rewritten<T: Element>(array: &ArrayD<T>) -> ArrayD<T> {
    let mut text = Vec::new();
    TensorFormat::Csv.write(&mut text, &array.view()).unwrap();
    read(&scratch::source(&text)).expect("what was written can be read")
}

/// The same shapes and numbers to the bit. What is no number has many bits, and is written in one way.
fn same<T: Element>(have: &ArrayD<T>, want: &ArrayD<T>) {
    assert_eq!(have.shape(), want.shape());
    for (&have, &want) in have.iter().zip(want) {
        let (have, want): (f64, f64) = (have.into(), want.into());
        assert!(have.to_bits() == want.to_bits() || (have.is_nan() && want.is_nan()));
    }
}
