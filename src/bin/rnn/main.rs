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
mod target;
mod threads;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use commands::{bench, convert, init, manual, pack, randn, run, stream, unpack};

fn main() -> ExitCode {
    signals::install(explain::report);
    let result = std::panic::catch_unwind(|| {
        #[cfg(debug_assertions)]
        faults::install()?;
        let args = Args::try_parse().map_err(explain::from_clap)?;
        if let Some(bytes) = args.max_bytes {
            elman::files::limit_streams(bytes);
        }
        match &args.command {
            Command::Run(args) => run::run(args),
            Command::Init(args) => init::init(args),
            Command::Randn(args) => randn::randn(args),
            Command::Info(args) => info::info(args),
            Command::Pack(args) => pack::pack(args),
            Command::Unpack(args) => unpack::unpack(args),
            Command::Diff(args) => diff::diff(args),
            Command::Bench(args) => bench::bench(args),
            Command::Stream(args) => stream::stream(args),
            Command::Convert(args) => convert::convert(args),
            Command::Completions(args) => manual::completions(args),
            Command::Man(args) => manual::man(args),
            Command::Python => manual::python(),
        }
    });
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => explain::report(&error),
        Err(_) => explain::report_bug(),
    }
}
