//! The commands, one file each: read, build, compute, write.

pub(crate) mod bench;
pub(crate) mod convert;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod info;
pub(crate) mod init;
pub(crate) mod manual;
pub(crate) mod pack;
#[cfg(feature = "plot")]
pub(crate) mod plot;
pub(crate) mod randn;
pub(crate) mod run;
pub(crate) mod score;
pub(crate) mod stream;
pub(crate) mod unpack;

use anyhow::Result;

use crate::args::{Args, Command, PYTHON};
use crate::report;

/// Runs the typed command.
pub(crate) fn dispatch(args: &Args) -> Result<()> {
    if let Some(bytes) = args.max_bytes {
        elman::files::limit_streams(bytes);
    }
    if verbosity(&args.command) > 1 {
        crate::explain::trace_errors();
    }
    match &args.command {
        Command::Run(args) => run::run(args),
        Command::Stream(args) => stream::stream(args),
        Command::Generate(args) => generate::generate(args),
        Command::Score(args) => score::score(args),
        Command::Init(args) => init::init(args),
        Command::Convert(args) => convert::convert(args),
        Command::Info(args) => info::info(args),
        Command::Explain(args) => explain::explain(args),
        #[cfg(feature = "plot")]
        Command::Plot(args) => plot::plot(args),
        Command::Diff(args) => diff::diff(args),
        Command::Randn(args) => randn::randn(args),
        Command::Pack(args) => pack::pack(args),
        Command::Unpack(args) => unpack::unpack(args),
        Command::Bench(args) => bench::bench(args),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args),
        Command::Python => report::print(PYTHON, false),
    }
}

/// How often `--verbose` was typed.
fn verbosity(command: &Command) -> u8 {
    match command {
        Command::Run(args) => args.report.verbose,
        Command::Stream(args) => args.verbose,
        Command::Generate(args) => args.report.verbose,
        Command::Score(args) => args.verbose,
        Command::Init(args) => args.report.verbose,
        Command::Convert(args) => args.report.verbose,
        Command::Randn(args) => args.report.verbose,
        Command::Pack(args) => args.report.verbose,
        Command::Unpack(args) => args.report.verbose,
        _ => 0,
    }
}
