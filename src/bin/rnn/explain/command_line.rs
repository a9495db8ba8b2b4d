//! The command line of this process, changed so that it works. Spellings of flags, and whether a value follows
//! one, come from clap's grammar.

use std::fmt;

use clap::{Arg, Command, CommandFactory};

use crate::args::Args;

/// The typed flags with their values, sorted, without those of `except`: the same for every way of typing them.
pub(crate) fn typed_flags(except: &[&str]) -> Vec<String> {
    CommandLine::new().flags(except)
}

pub(super) struct CommandLine {
    words: Vec<String>,
    /// The grammar of the typed command, or of the whole program if it has none.
    grammar: Command,
}

impl CommandLine {
    pub(super) fn new() -> Self {
        let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
        Self::of(std::iter::once("rnn".to_owned()).chain(words).collect())
    }

    fn of(words: Vec<String>) -> Self {
        let mut rnn = Args::command();
        rnn.build();
        let parts = parts(&rnn, &words);
        let first = parts.iter().skip(1).find(|(flag, _)| flag.is_none());
        let command = first.and_then(|(_, words)| rnn.find_subcommand(&words[0])).cloned();
        CommandLine { grammar: command.unwrap_or(rnn), words }
    }

    pub(super) fn help(&self) -> String {
        format!("{} --help", self.grammar.get_bin_name().unwrap_or("rnn"))
    }

    /// Without these flags, in every spelling.
    pub(super) fn without(self, flags: &[&str]) -> Self {
        self.filtered(flags, false)
    }

    /// With a flag, whether or not it was typed.
    pub(super) fn with(self, flag: &str, value: Option<&str>) -> Self {
        let mut line = self.without(&[flag]);
        line.words.push(flag.to_owned());
        line.words.extend(value.map(str::to_owned));
        line
    }

    /// With steps and batch in this order. A command whose `--batch-first` has no value leaves it out.
    pub(super) fn with_batch_first(self, batch_first: bool) -> Self {
        let flag = argument(&self.grammar, "--batch-first");
        let has_value = flag.is_some_and(|flag| flag.get_action().takes_values());
        let mut line = self.without(&["--batch-first"]);
        if batch_first || has_value {
            let value = if batch_first { "" } else { "=false" };
            line.words.push(format!("--batch-first{value}"));
        }
        line
    }

    /// With one word behind the command in place of another; `None` unless it was typed exactly once.
    pub(super) fn replaced(mut self, word: &str, other: &str) -> Option<Self> {
        let mut typed = self.words.iter_mut().skip(2).filter(|typed| *typed == word);
        let (only, None) = (typed.next()?, typed.next()) else { return None };
        other.clone_into(only);
        Some(self)
    }

    /// Another command with those of these flags that were typed.
    pub(super) fn into_command(self, name: &str, flags: &[&str]) -> Self {
        let mut line = self.filtered(flags, true);
        line.words.splice(0..0, ["rnn".to_owned(), name.to_owned()]);
        line
    }

    /// The flags that were typed, by their long names with their values, except these.
    fn flags(&self, except: &[&str]) -> Vec<String> {
        let mut flags = Vec::new();
        for (flag, words) in parts(&self.grammar, &self.words) {
            let Some(name) = flag.and_then(Arg::get_long).map(|name| format!("--{name}")) else {
                continue;
            };
            let value = match words {
                [_, value] => Some(value.as_str()),
                [word] if word.starts_with("--") => word.split_once('=').map(|(_, value)| value),
                [word] => word.get(2..).filter(|value| !value.is_empty()),
                _ => None,
            };
            if !except.contains(&name.as_str()) {
                flags.push(value.map_or(name.clone(), |value| format!("{name}={value}")));
            }
        }
        flags.sort();
        flags
    }

    /// The words that belong to these flags if they are `kept`, else all others.
    fn filtered(self, flags: &[&str], kept: bool) -> Self {
        let flags = flags.iter().filter_map(|flag| argument(&self.grammar, flag));
        let ids: Vec<_> = flags.map(Arg::get_id).collect();
        let is_one = |flag: &Arg| ids.contains(&flag.get_id());
        let parts = parts(&self.grammar, &self.words).into_iter();
        let parts = parts.filter(|(flag, _)| flag.is_some_and(is_one) == kept);
        let words = parts.flat_map(|(_, words)| words).cloned().collect();
        CommandLine { words, ..self }
    }
}

/// The words of a command line: each flag with its value, and each other word on its own.
fn parts<'a>(grammar: &'a Command, words: &'a [String]) -> Vec<(Option<&'a Arg>, &'a [String])> {
    let (mut parts, mut rest) = (Vec::new(), words);
    while let [word, ..] = rest {
        let flag = argument(grammar, word);
        // A short flag with its value attached, such as -ox.npy, is one word.
        let separate = flag
            .is_some_and(|flag| flag.get_action().takes_values() && !flag.is_require_equals_set())
            && !word.contains('=')
            && (word.starts_with("--") || word.len() == 2);
        let (part, others) = rest.split_at(if separate { rest.len().min(2) } else { 1 });
        parts.push((flag, part));
        rest = others;
    }
    parts
}

fn argument<'a>(grammar: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    let long = name.strip_prefix("--");
    let short = name.strip_prefix('-').and_then(|name| name.chars().next());
    grammar.get_arguments().find(|arg| match long {
        Some(long) => {
            arg.get_long() == Some(long)
                || arg.get_all_aliases().is_some_and(|all| all.contains(&long))
        }
        None => short.is_some() && arg.get_short() == short,
    })
}

impl fmt::Display for CommandLine {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> CommandLine {
        CommandLine::of(text.split(' ').map(str::to_owned).collect())
    }

    #[test]
    fn every_spelling_of_a_flag_is_found() {
        for flag in ["--hidden 5", "--hidden=5", "--hidden-size 5", "--hidden-size=5"] {
            let changed = line(&format!("rnn run {flag} -i x.npy")).without(&["--hidden-size"]);
            assert_eq!(changed.to_string(), "rnn run -i x.npy", "{flag}");
        }
        for flag in ["-o y.npy", "-oy.npy", "--output y.npy", "--output=y.npy"] {
            let changed = line(&format!("rnn run {flag} -i x.npy")).with("-o", Some("z.npy"));
            assert_eq!(changed.to_string(), "rnn run -i x.npy -o z.npy", "{flag}");
        }
    }

    #[test]
    fn flags_are_the_same_in_every_spelling() {
        let expected = ["--bidirectional", "--hidden-size=5", "--input=x"];
        for text in [
            "rnn run -i x -w w --hidden 5 --bidirectional",
            "rnn run --bidirectional --weights=w --hidden-size=5 -ix",
        ] {
            assert_eq!(line(text).flags(&["--weights"]), expected, "{text}");
        }
    }

    #[test]
    fn a_value_is_not_taken_for_a_flag() {
        let changed = line("rnn unpack --padding-value -o -i x.npz -o y.npy").without(&["-o"]);
        assert_eq!(changed.to_string(), "rnn unpack --padding-value -o -i x.npz");
    }

    #[test]
    fn the_order_of_the_axes_is_typed_as_the_command_takes_it() {
        let swapped = |text, batch_first| line(text).with_batch_first(batch_first).to_string();
        assert_eq!(swapped("rnn run -i x", true), "rnn run -i x --batch-first");
        let explicit = "rnn run -i x --batch-first=false";
        assert_eq!(swapped("rnn run --batch-first -i x", false), explicit);
        assert_eq!(swapped("rnn pack --batch-first -i x", false), "rnn pack -i x");
    }

    #[test]
    fn the_command_stands_behind_flags_of_the_program() {
        assert_eq!(line("rnn --max-bytes 5 run -i x").help(), "rnn run --help");
        assert_eq!(line("rnn go").help(), "rnn --help");
    }

    #[test]
    fn another_command_keeps_the_flags_that_it_has() {
        let stream = line("rnn run -w w/ -i x.npy --hn h.npy --dtype f64");
        let stream = stream.into_command("stream", &["--weights", "--dtype"]);
        assert_eq!(stream.to_string(), "rnn stream -w w/ --dtype f64");
    }
}
