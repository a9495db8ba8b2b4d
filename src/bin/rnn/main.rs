//! `rnn`: PyTorch's `torch.nn.RNN` for the shell.

mod args;
mod bench;
mod check;
mod conversion;
mod failure;
mod held;
mod hint;
mod in_parts;
mod init;
mod layer;
mod lengths;
mod mismatch;
mod outputs;
mod pack;
mod padding;
mod pass;
mod peak;
mod progress;
mod randn;
mod report;
mod results;
mod rng;
mod rows;
mod run;
mod sequences;
mod signals;
mod stream;
mod threads;
mod unpack;

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
            Command::Pack(args) => pack::pack(args),
            Command::Unpack(args) => unpack::unpack(args),
            Command::Bench(args) => bench::bench(args),
            Command::Stream(args) => stream::stream(args),
        }
    });
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failure::report(&error),
        Err(_) => failure::report_panic(),
    }
}
