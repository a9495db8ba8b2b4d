//! `rnn completions`, `rnn man` and `rnn python`: what the definition of the command line says of itself.

use anyhow::Result;
use clap::{Command, CommandFactory};
use clap_mangen::Man as Page;

use crate::args::{Args, Completions, Man, PYTHON};
use crate::failure::{Usage, with_hint};
use crate::report::print;

pub(crate) fn completions(args: &Completions) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "rnn", &mut text);
    print(&String::from_utf8_lossy(&text), false)
}

pub(crate) fn man(args: &Man) -> Result<()> {
    let mut rnn = Args::command();
    // Only now do the commands know what they share, and whose they are.
    rnn.build();
    let page = match &args.command {
        None => rnn,
        Some(name) => {
            let Some(command) = rnn.find_subcommand(name) else {
                let message = format!("expected a command, got '{name}'");
                return Err(with_hint(Usage(message), Some("rnn --help".to_owned())));
            };
            // The page's own name is one word, as that of git-log(1).
            let mut command = command.clone().display_name(format!("rnn-{name}"));
            // The commands that `help` takes have pages under their own names alone.
            if name == "help" {
                let about = command.get_about().cloned().unwrap_or_default();
                let own = Command::new("help").about(about).disable_help_flag(true);
                command = own.display_name("rnn-help").bin_name("rnn help [COMMAND]");
            }
            command
        }
    };
    let mut text = Vec::new();
    Page::new(page).render(&mut text)?;
    print(&verbatim(&String::from_utf8_lossy(&text)), false)
}

/// A page whose indented lines stay as they are: man would fill and hyphenate code and tables.
fn verbatim(page: &str) -> String {
    let (mut kept, mut indented) = (String::new(), false);
    for line in page.lines() {
        let is_indented = line.starts_with("    ");
        match (indented, is_indented) {
            (false, true) => kept += ".nf\n",
            (true, false) => kept += ".fi\n",
            _ => {}
        }
        indented = is_indented;
        kept += line;
        kept.push('\n');
    }
    kept
}

pub(crate) fn python() -> Result<()> {
    print(&format!("{PYTHON}\n"), false)
}
