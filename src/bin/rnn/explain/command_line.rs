//! Hints: the command that was typed, changed so that it works.

use std::fmt;

use crate::args::COMMANDS;

/// Flags that may be changed in a hint: every spelling, and whether a value follows.
const FLAGS: [(&[&str], bool); 26] = [
    (&["--input-size"], true),
    (&["--hidden-size", "--hidden"], true),
    (&["--num-layers", "--layers"], true),
    (&["--nonlinearity"], true),
    (&["--no-bias"], false),
    (&["--batch-first"], false),
    (&["--bidirectional"], false),
    (&["--dropout"], true),
    (&["--dtype"], true),
    (&["--h0"], true),
    (&["--output", "-o"], true),
    (&["--hn"], true),
    (&["--last"], true),
    (&["--all-hidden"], true),
    (&["--lengths"], true),
    (&["--columns"], true),
    (&["--padding-value"], true),
    (&["--padding-side"], true),
    (&["--total-length"], true),
    (&["--rng"], true),
    (&["--no-clobber"], false),
    (&["--state"], true),
    (&["--checkpoint"], true),
    (&["--independent"], false),
    (&["--prefix"], true),
    (&["--frames"], false),
];

/// The command line of this process, to be changed and shown.
#[derive(Clone, Debug)]
pub(crate) struct CommandLine {
    words: Vec<String>,
}

impl CommandLine {
    pub(crate) fn new() -> Self {
        let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
        CommandLine { words: std::iter::once("rnn".to_owned()).chain(words).collect() }
    }

    /// Without a flag, in whatever spelling it was typed.
    pub(crate) fn without(self, flag: &str) -> Self {
        let spellings = FLAGS.iter().find(|(names, _)| names.contains(&flag));
        let (names, has_value) = spellings.copied().unwrap_or((&[], false));
        let mut words = Vec::new();
        let mut typed = self.words.into_iter();
        while let Some(word) = typed.next() {
            let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
            // The value of a short flag may stand right behind it: `-ox.npy`.
            let attached = |name: &&str| !name.starts_with("--") && word.starts_with(*name);
            if names.contains(&word.as_str()) {
                if has_value {
                    typed.next();
                }
            } else if !names.contains(&name) && !names.iter().any(attached) {
                words.push(word);
            }
        }
        CommandLine { words }
    }

    /// With a flag, whether or not it was there before.
    pub(crate) fn with(self, flag: &str, value: Option<&str>) -> Self {
        let mut line = self.without(flag);
        line.words.push(flag.to_owned());
        line.words.extend(value.map(str::to_owned));
        line
    }

    /// With one word behind the command in the place of another; none where it was not typed, or where it
    /// also stands for something else.
    pub(crate) fn replaced(mut self, word: &str, other: &str) -> Option<Self> {
        let mut typed = self.words.iter_mut().skip(2).filter(|typed| *typed == word);
        let (only, None) = (typed.next()?, typed.next()) else { return None };
        other.clone_into(only);
        Some(self)
    }
}

impl fmt::Display for CommandLine {
    /// The line as a shell reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.words.iter().map(|word| quoted(word)).collect();
        f.write_str(&words.join(" "))
    }
}

/// A word as a shell reads it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command that writes `file` with two axes swapped, beside it.
pub(crate) fn swapped(file: &str, first: usize, second: usize) -> Option<String> {
    let stem = file.strip_suffix(".npy")?;
    swap(file, &format!("{stem}-swapped.npy"), first, second)
}

/// A command that writes `file` with two axes swapped to `to`, which may be the same file.
pub(crate) fn swap(file: &str, to: &str, first: usize, second: usize) -> Option<String> {
    if ![file, to].into_iter().all(stands_in_python) {
        return None;
    }
    let code = format!(
        "import numpy as np; np.save('{to}', np.load('{file}').swapaxes({first}, {second}))"
    );
    Some(format!("python3 -c \"{code}\""))
}

/// A command that writes the arrays of an archive as f64 into another one, beside it.
pub(crate) fn as_f64(file: &str) -> Option<String> {
    let stem = file.strip_suffix(".npz")?;
    if !stands_in_python(file) {
        return None;
    }
    let code = format!(
        "import numpy as np; a = np.load('{file}'); np.savez('{stem}-f64.npz', **{{k: a[k].astype('f8') for k in a}})"
    );
    Some(format!("python3 -c \"{code}\""))
}

/// Whether nothing in a path would end a string of Python, or mean something to the shell around it.
fn stands_in_python(path: &str) -> bool {
    !path.contains(['\'', '"', '\\', '$', '`', '!'])
}

/// What to type after a wrong use of `flag`.
pub(crate) fn for_usage(flag: &str) -> String {
    let line = CommandLine::new();
    if flag == "--nonlinearity" {
        return line.with(flag, Some("tanh")).to_string();
    }
    let command = line.words.get(1).filter(|word| COMMANDS.contains(&word.as_str()));
    command.map_or("rnn --help".to_owned(), |command| format!("rnn {command} --help"))
}
