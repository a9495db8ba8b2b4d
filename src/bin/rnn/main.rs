//! `rnn`: PyTorch's `torch.nn.RNN` for the shell.

mod args;
mod bench;
mod check;
mod conversion;
mod convert;
mod diff;
mod failure;
#[cfg(debug_assertions)]
mod faults;
mod held;
mod hint;
mod in_parts;
mod info;
mod init;
mod invariance;
mod layer;
mod lengths;
mod manual;
mod mismatch;
mod outputs;
mod pack;
mod padding;
mod pass;
mod peak;
mod place;
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
mod target;
mod threads;
mod unpack;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    signals::install();
    let result = std::panic::catch_unwind(|| {
        #[cfg(debug_assertions)]
        faults::install()?;
        let args = Args::try_parse().map_err(failure::from_clap)?;
        if let Some(bytes) = args.max_bytes {
            elman::io::limit_streams(bytes);
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
        Ok(Err(error)) => failure::report(&error),
        Err(_) => failure::report_bug(),
    }
}
