//! clap's messages in the form of this program: one line, and a hint.

use clap::error::{ContextKind, ErrorKind};

use super::hint;
use crate::args::COMMANDS;
use crate::failure::{Usage, with_hint};

/// An error of clap in one line. Help and version, which clap returns as errors too, stay as they are.
pub(crate) fn from_clap(error: clap::Error) -> anyhow::Error {
    if !error.use_stderr() {
        return error.into();
    }
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let flag = argument.split(' ').next().unwrap_or_default();
    let message = match std::error::Error::source(&error) {
        // clap's own message is the whole help.
        _ if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let (others, last) = COMMANDS.split_at(COMMANDS.len() - 1);
            format!("expected a command: {} or {}", others.join(", "), last.concat())
        }
        Some(source) if error.kind() == ErrorKind::ValueValidation => format!("{flag}: {source}"),
        _ => first_paragraph(&error, flag),
    };
    let tanh = || hint::set("--nonlinearity", "tanh");
    with_hint(Usage(message), if flag == "--nonlinearity" { tanh() } else { hint::help() })
}

/// The first paragraph of clap's message, and a flag or a command that looks like the typed one.
fn first_paragraph(error: &clap::Error, flag: &str) -> String {
    let text = error.to_string();
    let message = text.strip_prefix("error: ").unwrap_or(&text);
    let message = message.split("\n\n").next().unwrap_or(message);
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let similar = error.get(ContextKind::SuggestedArg);
    match similar.or(error.get(ContextKind::SuggestedSubcommand)) {
        // clap suggests distant words too; a typing error is seldom in the first letter.
        Some(similar) if similar.to_string().get(..3) == flag.get(..3) => {
            format!("{message}; a similar one is {similar}")
        }
        _ => message,
    }
}
