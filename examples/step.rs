//! Steps through a live sequence: one input at a time, the hidden state carried over.
//!
//! `cargo run --example step`
#![allow(clippy::print_stdout, reason = "an example shows its results")]

use elman::{Config, Generator, Rnn};
use ndarray::{Array2, Array3, Axis};

fn main() -> Result<(), elman::Error> {
    let rnn = Rnn::<f32>::new(Config::new(3, 5), &mut Generator::new(0))?;
    let mut h = Array3::zeros((1, 1, 5)).into_dyn();
    for step in 0..4_u8 {
        // The data of a sensor, (L, N, H_in), with a single step of a single sequence.
        let input = Array2::from_elem((1, 3), f32::from(step)).insert_axis(Axis(0)).into_dyn();
        let result = rnn.call(input.view(), Some(h.view()))?;
        println!("{:?}", result.output.as_slice().unwrap_or_default());
        h = result.h_n;
    }
    Ok(())
}
