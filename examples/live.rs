//! A layer from a checkpoint, stepped through a live sequence.
//!
//! ```sh
//! seq 0 0.3 15 | cargo run --example live -- fixtures/sine/rnn.pt
//! ```
//!
//! Each line of standard input is one step: numbers between commas or spaces. The program answers each
//! at once with the last layer's hidden state, which is carried from step to step.

use std::error::Error;
use std::ffi::OsString;
use std::io::{BufRead, Write};

use elman::files::Source;
use elman::{Batch, Checkpoint, Options, Rnn, Session};
use ndarray::Array2;

fn main() -> Result<(), Box<dyn Error>> {
    let path: OsString = std::env::args_os().nth(1).ok_or("expected a file of weights")?;
    let checkpoint = Checkpoint::read(&Source::parse(&path), None, None)?;
    let config = checkpoint.config.clone();
    let rnn: Rnn<f32> = checkpoint.into_rnn(config)?;
    let mut session = Session::new(&rnn, None);
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let step = parse(&line?)?;
        // (1, H_in): a sequence of one step, without a batch.
        let input = Array2::from_shape_vec((1, step.len()), step)?.into_dyn();
        let batch = Batch::new(input.view(), false)?;
        let answer = session.step(batch, Options::default())?;
        writeln!(stdout, "{:.4}", answer.output)?;
    }
    Ok(())
}

/// The numbers of a line.
fn parse(line: &str) -> Result<Vec<f32>, std::num::ParseFloatError> {
    let words = line.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    words.map(str::parse).collect()
}
