//! Tokens as text: the prompt and the stop texts as ids, and new ids as they are written.

use std::fmt::Write;

use anyhow::Result;
use elman::files::Answers;
use elman::{Tokens, Vocabulary};

use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};

/// The text of ids: tokens of a vocabulary, or their numbers.
pub(super) struct Wording {
    pub(super) vocabulary: Option<Vocabulary>,
    /// V, the number of ids.
    pub(super) count: usize,
}

impl Wording {
    /// Writes the text of an id to `text`: a word has a space before it unless it is the `first`, a number a line end
    /// behind it.
    fn write(&self, id: usize, first: bool, text: &mut String) {
        text.clear();
        match &self.vocabulary {
            Some(vocabulary) => {
                text.push_str(if first || vocabulary.tokens() == Tokens::Char { "" } else { " " });
                text.push_str(vocabulary.name(id).unwrap_or_default());
            }
            // Writing to a string cannot fail.
            None => drop(writeln!(text, "{id}")),
        }
    }

    /// The ids of a prompt.
    pub(super) fn prompt(&self, text: &str) -> Result<Vec<usize>> {
        self.ids("--prompt", text, |vocabulary| vocabulary.encode(text, 1))
    }

    /// The ids of each stop text.
    pub(super) fn stops(&self, texts: &[String]) -> Result<Vec<Vec<usize>>> {
        let ids = |text: &String| {
            let ids = self.ids("--stop", text, |vocabulary| vocabulary.encode_escaped(text))?;
            if ids.is_empty() {
                return Err(
                    Usage("--stop: expected at least one token, got none".to_owned()).into()
                );
            }
            Ok(ids)
        };
        texts.iter().map(ids).collect()
    }

    fn ids(
        &self,
        flag: &str,
        text: &str,
        encode: impl FnOnce(&Vocabulary) -> Result<Vec<i64>, elman::Error>,
    ) -> Result<Vec<usize>> {
        if let Some(vocabulary) = &self.vocabulary {
            let ids = encode(vocabulary).map_err(|error| {
                // No token stands for others in a text that ends the answer.
                let hint = hint::of_token(&error, vocabulary).filter(|_| flag == "--prompt");
                with_hint(anyhow::Error::from(error).context(flag.to_owned()), hint)
            })?;
            return Ok(ids.into_iter().filter_map(|id| usize::try_from(id).ok()).collect());
        }
        let id = |word: &str| {
            let id = word.parse().ok().filter(|&id| id < self.count);
            id.ok_or_else(|| {
                let (last, word) = (self.count - 1, word.escape_debug());
                let what = format!("expected ids, whole numbers from 0 to {last}, got '{word}'");
                Data(format!("{flag}: {what}")).into()
            })
        };
        text.split_whitespace().map(id).collect()
    }
}

/// New tokens on standard output, each flushed.
pub(super) struct TextOutput<'a> {
    stdout: Answers,
    wording: &'a Wording,
    /// The texts at which the output ends.
    stops: Vec<Vec<usize>>,
    /// Tokens that wait, because they may be the beginning of a stop text.
    held: Vec<usize>,
    /// Whether nothing has been written.
    at_start: bool,
    /// The text of a token.
    text: String,
}

impl<'a> TextOutput<'a> {
    pub(super) fn stdout(wording: &'a Wording, stops: Vec<Vec<usize>>) -> Result<Self> {
        let stdout = Answers::stdout()?;
        Ok(TextOutput {
            stdout,
            wording,
            stops,
            held: Vec::new(),
            at_start: true,
            text: String::new(),
        })
    }

    /// Adds a token, and returns whether it completes a stop text.
    pub(super) fn add(&mut self, id: usize) -> Result<bool> {
        self.held.push(id);
        let complete = self.stops.iter().filter(|stop| self.held.ends_with(stop));
        if let Some(len) = complete.map(Vec::len).max() {
            self.write(self.held.len() - len)?;
            self.held.clear();
            return Ok(true);
        }
        let begins =
            |first: &usize| self.stops.iter().any(|stop| stop.starts_with(&self.held[*first..]));
        let first = (0..self.held.len()).find(begins);
        self.write(first.unwrap_or(self.held.len()))?;
        Ok(false)
    }

    /// Writes the tokens that have waited, and ends the line of a text.
    pub(super) fn finish(mut self) -> Result<()> {
        self.write(self.held.len())?;
        if self.wording.vocabulary.is_some() {
            self.stdout.bytes(b"\n")?;
        }
        Ok(())
    }

    /// Writes the first of the tokens that wait.
    fn write(&mut self, count: usize) -> Result<()> {
        for id in self.held.drain(..count) {
            self.wording.write(id, self.at_start, &mut self.text);
            self.at_start = false;
            self.stdout.bytes(self.text.as_bytes())?;
        }
        Ok(())
    }
}
