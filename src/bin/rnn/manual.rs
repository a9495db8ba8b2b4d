//! `rnn completions`, `rnn man` and `rnn python`: what the definition of the command line says of itself.

use anyhow::Result;
use clap::CommandFactory;
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
            command.clone().display_name(format!("rnn-{name}"))
        }
    };
    let mut text = Vec::new();
    Page::new(page).render(&mut text)?;
    print(&String::from_utf8_lossy(&text), false)
}

pub(crate) fn python() -> Result<()> {
    print(&format!("{PYTHON}\n"), false)
}
