//! `rnn`: PyTorch's `torch.nn.RNN` for the shell.

/// Calls a function of the element type that is known only at run time.
macro_rules! typed {
    ($dtype:expr, $function:ident($($argument:expr),*)) => {
        match $dtype {
            elman::Dtype::F32 => $function::<f32>($($argument),*),
            elman::Dtype::F64 => $function::<f64>($($argument),*),
        }
    };
}

mod args;
mod commands;
mod diff;
mod dynamics;
mod explain;
mod failure;
#[cfg(debug_assertions)]
mod faults;
mod info;
mod invariance;
mod language;
mod layer;
mod model_flags;
mod modules;
mod numbers;
mod peak;
mod pipeline;
#[cfg(feature = "plot")]
mod plot;
mod progress;
mod recurrence;
mod report;
mod rng;
mod signals;
mod start;
mod states;
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
