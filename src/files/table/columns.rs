//! The columns of a table that are read, by name or number.

use super::cell::shown;
use super::lines::Lines;
use crate::files::error::{FileError, Remedy};
use crate::files::{MAX_LISTED, listed};

/// Most letters that a typed name differs in from one that is suggested.
const MAX_DISTANCE: usize = 2;

impl Lines<'_> {
    /// The index of each column of numbers, and of each one that is kept.
    pub(super) fn columns(&mut self) -> Result<(Vec<usize>, Vec<usize>), FileError> {
        let (wanted, width) = (self.options.columns, self.record.len());
        let kept = self.named(self.options.keep)?;
        if !wanted.is_empty() {
            return Ok((self.named(wanted)?, kept));
        }
        self.charge(width * size_of::<usize>())?;
        let columns: Vec<_> = (0..width).filter(|column| !kept.contains(column)).collect();
        if columns.is_empty() {
            return Err(self.malformed(
                "expected a column of numbers beside those to keep, got none".to_owned(),
            ));
        }
        Ok((columns, kept))
    }

    /// The index of each wanted column. A name wins over a number.
    fn named(&self, wanted: &[String]) -> Result<Vec<usize>, FileError> {
        let width = self.record.len();
        let column = |wanted: &String| {
            let number = || wanted.parse().ok().filter(|number| (1..=width).contains(number));
            let names = self.names.iter().enumerate();
            let mut named = names.filter(|(_, name)| *name == wanted.trim()).map(|(at, _)| at);
            match (named.next(), named.next()) {
                (Some(first), Some(second)) => Err(self.two_columns(wanted, first, second)),
                (Some(only), None) => Ok(only),
                (None, _) => number().map(|n| n - 1).ok_or_else(|| self.no_column(wanted)),
            }
        };
        wanted.iter().map(column).collect()
    }

    /// A column as `--columns` takes it: its name, or its number if the name is empty or not the only one.
    pub(super) fn column_argument(&self, column: usize) -> String {
        let name = self.names.get(column).filter(|name| !name.is_empty());
        let single = |name: &&String| self.names.iter().filter(|own| own == name).count() == 1;
        let plain = |name: &&String| !name.contains(char::is_control) && !name.starts_with('-');
        let name = name.filter(single).filter(plain);
        name.map_or_else(|| (column + 1).to_string(), |name| argument(name))
    }

    fn two_columns(&self, wanted: &str, first: usize, second: usize) -> FileError {
        let (wanted, first, second) = (shown(wanted), first + 1, second + 1);
        self.malformed(format!(
            "columns: expected one column, got '{wanted}', the name of both {first} and {second}"
        ))
    }

    fn no_column(&self, wanted: &str) -> FileError {
        let width = self.record.len();
        let names = listed(self.names.iter().map(|name| listable(name)), MAX_LISTED);
        let list =
            if self.names.is_empty() { String::new() } else { format!("one of {names}, or ") };
        let what = format!("expected {list}a number from 1 to {width}, got '{}'", shown(wanted));
        let error = self.malformed(format!("columns: {what}"));
        if self.near(wanted.trim()).is_none() {
            return error;
        }
        let other = |own: &String| match self.near(own.trim()) {
            Some(near) if !self.names.contains(own) && own.parse::<usize>().is_err() => {
                self.column_argument(near)
            }
            _ => argument(own),
        };
        let columns = self.options.columns.iter().map(other).collect();
        self.with_remedy(error, Some(Remedy::Columns(columns)))
    }

    /// The column whose name is nearly the wanted one.
    fn near(&self, wanted: &str) -> Option<usize> {
        let letters = |name: &str| {
            let letters = name.chars().filter(|c| c.is_alphanumeric()).take(100);
            letters.flat_map(char::to_lowercase).collect::<Vec<_>>()
        };
        let wanted = letters(wanted);
        let away = |name: &String| distance(&wanted, &letters(name));
        // Of a short name, fewer letters may differ.
        let most = MAX_DISTANCE.min(wanted.len() / 3);
        let names = self.names.iter().map(away).enumerate();
        let nearest = names.filter(|(_, away)| *away <= most).min_by_key(|(_, away)| *away);
        nearest.map(|(column, _)| column).filter(|_| !wanted.is_empty())
    }
}

/// Letters that have to be changed, inserted or left out to make one word of the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let change = diagonal + usize::from(letter != other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// A name as `--columns` takes it.
fn argument(name: &str) -> String {
    if name.contains(['"', ',']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

/// The name of a column in a list with commas between the names.
fn listable(name: &str) -> String {
    shown(&argument(name))
}
