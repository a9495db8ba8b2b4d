//! `rnn`: PyTorch's `torch.nn.RNN` for the shell.

mod args;
mod commands;
mod conversion;
mod diff;
mod explain;
mod failure;
#[cfg(debug_assertions)]
mod faults;
mod finite;
mod info;
mod invariance;
mod layer;
mod peak;
mod pipeline;
mod place;
mod progress;
mod report;
mod rng;
mod signals;
mod threads;
mod weights_output;

use std::process::ExitCode;

use clap::Parser;

use args::Args;

fn main() -> ExitCode {
    signals::install(explain::report);
    let result = std::panic::catch_unwind(|| {
        #[cfg(debug_assertions)]
        faults::install()?;
        commands::dispatch(&Args::try_parse().map_err(explain::from_clap)?)
    });
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => explain::report(&error),
        Err(_) => explain::report_bug(),
    }
}
