//! `rnn completions` and `rnn man`: documentation generated from the grammar of the command line.

use anyhow::Result;
use clap::{Command, CommandFactory};
use clap_mangen::Man as Page;

use crate::args::{Args, Completions, Man};
use crate::failure::{Usage, with_hint};
use crate::report::print;

pub(crate) fn completions(args: &Completions) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "rnn", &mut text);
    print(&String::from_utf8_lossy(&text), false)
}

pub(crate) fn man(args: &Man) -> Result<()> {
    let mut rnn = Args::command();
    // The commands get their shared flags and full names here.
    rnn.build();
    let page = match &args.command {
        None => rnn,
        Some(name) => {
            let Some(command) = rnn.find_subcommand(name) else {
                let message = format!("expected a command, got '{name}'");
                return Err(with_hint(Usage(message), "rnn --help".to_owned()));
            };
            // The name of a page is one word, as in git-log(1).
            let mut command = command.clone().display_name(format!("rnn-{name}"));
            // The page of `help` leaves out the commands that it takes: each has a page of its own.
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

/// Marks the indented lines of a page as preformatted: man would fill and hyphenate code and tables.
fn verbatim(page: &str) -> String {
    let (mut kept, mut indented) = (String::new(), false);
    for line in page.lines() {
        if line.starts_with("    ") != indented {
            indented = !indented;
            kept += if indented { ".nf\n" } else { ".fi\n" };
        }
        kept += line;
        kept.push('\n');
    }
    kept
}
