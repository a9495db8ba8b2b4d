//! `rnn`: PyTorch's `torch.nn.RNN` for the shell.

mod args;
mod bench;
mod check;
mod failure;
mod hint;
mod in_parts;
mod init;
mod layer;
mod mismatch;
mod outputs;
mod pass;
mod peak;
mod progress;
mod randn;
mod report;
mod rng;
mod run;
mod signals;
mod threads;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    signals::install();
    let result = std::panic::catch_unwind(|| {
        let args = Args::try_parse().map_err(failure::from_clap)?;
        match &args.command {
            Command::Run(args) => run::run(args),
            Command::Init(args) => init::init(args),
            Command::Randn(args) => randn::randn(args),
            Command::Bench(args) => bench::bench(args),
        }
    });
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failure::report(&error),
        Err(_) => failure::report_panic(),
    }
}
