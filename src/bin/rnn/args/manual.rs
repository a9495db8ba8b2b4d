//! Arguments of `rnn completions` and `rnn man`, and the manual for Python.

use clap::Args as ClapArgs;
use clap_complete::Shell;

use super::values::COMMAND;

#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// The command [default: rnn itself].
    #[arg(value_name = "COMMAND", value_parser = COMMAND, hide_possible_values = true)]
    pub(crate) command: Option<String>,
}
