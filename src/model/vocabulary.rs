//! From text to ids: the tokens that a model knows, and lists of names in files.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::names::{Names, parse_names, shown, unescape};
use crate::error::Error;

/// The units of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tokens {
    /// Unicode scalar values.
    #[default]
    Char,
    /// Words between white space.
    Word,
}

/// The tokens of a model, each with its id, its place from 0 on.
///
/// ```
/// use elman::{Tokens, Vocabulary};
///
/// let letters = Vocabulary::parse("a\nb\n \n\\n\n", Tokens::Char)?;
/// assert!(letters.names().eq(["a", "b", " ", "\n"]));
/// assert_eq!(letters.encode("ba b", 1)?, [1, 0, 2, 1]);
/// let error = letters.encode("abc", 7).unwrap_err().to_string();
/// assert_eq!(error, "line 7, column 3: 'c' is not in the vocabulary");
///
/// let words = Vocabulary::parse(r#"{"<unk>": 0, "the": 1, "cat": 2}"#, Tokens::Word)?;
/// let words = words.with_unknown("<unk>")?;
/// assert_eq!(words.encode("the  grey cat", 1)?, [1, 0, 2]);
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Vocabulary {
    tokens: Tokens,
    /// The token of each id.
    names: Names,
    index: Index,
    /// The id of every token that is not in the vocabulary.
    unknown: Option<i64>,
}

impl Vocabulary {
    /// A vocabulary of these tokens. Tokens of several characters, such as `<pad>`, may stand among characters.
    ///
    /// # Errors
    /// [`Error::Invalid`] for no token, or for one that occurs twice.
    pub fn new(names: Vec<String>, tokens: Tokens) -> Result<Self, Error> {
        let mut own = Names::default();
        for name in names {
            own.push(&name).map_err(|error| Error::invalid(NAME, error.to_string()))?;
        }
        Self::of_names(own, tokens)
    }

    fn of_names(names: Names, tokens: Tokens) -> Result<Self, Error> {
        if names.len() == 0 {
            return Err(Error::invalid(NAME, "expected a token on each line, got none"));
        }
        let index = Index::new(&names).map_err(|[first, second]| {
            let name = shown(names.get(second).unwrap_or_default());
            let what = format!("expected each token once, got {name} as ids {first} and {second}");
            Error::invalid(NAME, what)
        })?;
        Ok(Vocabulary { tokens, names, index, unknown: None })
    }

    /// Reads the text of a file: a line for each token, whose id is its number from 0 on; or a list in JSON, or an
    /// object from token to id. Lines are taken verbatim, except for the escapes `\n`, `\t`, `\r` and `\\`.
    ///
    /// # Errors
    /// Those of [`Vocabulary::new`]; [`Error::Invalid`] for an empty line, and for ids that are not 0, 1, 2, ...
    pub fn parse(text: &str, tokens: Tokens) -> Result<Self, Error> {
        Self::of_names(parse_names(text, NAME)?, tokens)
    }

    /// The same vocabulary with a token that stands for all those that are not in it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the token is not in the vocabulary.
    pub fn with_unknown(self, token: &str) -> Result<Self, Error> {
        let Some(id) = self.index.get(&self.names, token) else {
            let token = shown(token);
            return Err(Error::invalid(NAME, format!("expected the token {token}, got none")));
        };
        Ok(Vocabulary { unknown: Some(id), ..self })
    }

    /// The same vocabulary for a text of other units.
    #[must_use]
    pub fn with_tokens(self, tokens: Tokens) -> Self {
        Vocabulary { tokens, ..self }
    }

    /// The token of each id.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter()
    }

    /// The token of an id.
    pub fn name(&self, id: usize) -> Option<&str> {
        self.names.get(id)
    }

    /// The units of the text.
    pub fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// The token that stands for all those that are not in the vocabulary.
    pub fn unknown(&self) -> Option<&str> {
        self.unknown.and_then(|id| self.names.get(usize::try_from(id).ok()?))
    }

    /// The ids of the tokens of a line, or of a text whose line ends are tokens, or white space between words. `number`
    /// is that of the first line from 1 on, for errors.
    ///
    /// # Errors
    /// [`Error::Token`] for the first token that is not in the vocabulary, unless one stands for it.
    pub fn encode(&self, line: &str, number: usize) -> Result<Vec<i64>, Error> {
        self.encode_with(self.unknown, line, number)
    }

    /// The ids of a text that is written as the lines of a file are, with the escapes of [`Vocabulary::parse`]: of one
    /// token, or else of its characters or words. No token stands for others.
    ///
    /// # Errors
    /// [`Error::Token`] for the first token that is not in the vocabulary.
    pub fn encode_escaped(&self, text: &str) -> Result<Vec<i64>, Error> {
        let text = unescape(text);
        match self.index.get(&self.names, &text) {
            Some(id) => Ok(vec![id]),
            None => self.encode_with(None, &text, 1),
        }
    }

    fn encode_with(
        &self,
        unknown: Option<i64>,
        line: &str,
        number: usize,
    ) -> Result<Vec<i64>, Error> {
        let id = |token: &str| {
            self.index.get(&self.names, token).or(unknown).ok_or_else(|| {
                let start = token.as_ptr().addr() - line.as_ptr().addr();
                let (above, own) = line[..start].rsplit_once('\n').unwrap_or(("", &line[..start]));
                let above = above.matches('\n').count() + usize::from(own.len() < start);
                let column = own.chars().count() + 1;
                Error::Token { line: number + above, column, token: token.to_owned() }
            })
        };
        match self.tokens {
            Tokens::Char => {
                let part = |(start, c): (usize, char)| &line[start..start + c.len_utf8()];
                line.char_indices().map(part).map(id).collect()
            }
            Tokens::Word => line.split_whitespace().map(id).collect(),
        }
    }

    /// The ids of each line of a text. Lines end with LF or CRLF; a last one without an end counts.
    ///
    /// # Errors
    /// Those of [`Vocabulary::encode`].
    pub fn encode_lines(&self, text: &str) -> Result<Vec<Vec<i64>>, Error> {
        text.lines().enumerate().map(|(index, line)| self.encode(line, index + 1)).collect()
    }
}

/// The index follows from the names.
impl PartialEq for Vocabulary {
    fn eq(&self, other: &Self) -> bool {
        let parts = |own: &Self| (own.tokens, own.unknown);
        parts(self) == parts(other) && self.names == other.names
    }
}

/// A hash table from names to ids that holds no name a second time.
#[derive(Clone, Debug)]
struct Index {
    /// A power of two of them, a third of which or more are free.
    slots: Vec<Option<NonZeroU32>>,
    state: RandomState,
}

impl Index {
    /// The index of all names, or the ids of the first name that occurs twice.
    fn new(names: &Names) -> Result<Self, [usize; 2]> {
        let count = (names.len() + names.len() / 2 + 1).next_power_of_two();
        let mut index = Index { slots: vec![None; count], state: RandomState::new() };
        for (id, name) in names.iter().enumerate() {
            match index.slot(names, name) {
                (_, Some(first)) => return Err([first, id]),
                // The names fit in a budget that is smaller.
                (slot, None) => {
                    index.slots[slot] = u32::try_from(id + 1).ok().and_then(NonZeroU32::new);
                }
            }
        }
        Ok(index)
    }

    fn get(&self, names: &Names, name: &str) -> Option<i64> {
        self.slot(names, name).1.and_then(|id| i64::try_from(id).ok())
    }

    /// The slot of a name with its id, or the free slot for it.
    fn slot(&self, names: &Names, name: &str) -> (usize, Option<usize>) {
        let last = self.slots.len() - 1;
        let mut slot = low_bits(self.state.hash_one(name)) & last;
        while let Some(after) = self.slots[slot] {
            let id = after.get() as usize - 1;
            if names.get(id) == Some(name) {
                return (slot, Some(id));
            }
            slot = (slot + 1) & last;
        }
        (slot, None)
    }
}

/// The bits of a hash that choose a slot.
#[allow(clippy::cast_possible_truncation, reason = "a mask follows")]
fn low_bits(hash: u64) -> usize {
    hash as usize
}

/// The argument that an error of a vocabulary names.
const NAME: &str = "vocabulary";

/// Reads the names of classes, a line for each, or a list in JSON, as [`Vocabulary::parse`] reads tokens. Two classes
/// may have one name.
///
/// # Errors
/// [`Error::Invalid`] for no name and for an empty line.
pub fn parse_labels(text: &str) -> Result<Vec<String>, Error> {
    let names = parse_names(text, "labels")?;
    if names.len() == 0 {
        return Err(Error::invalid("labels", "expected a line for each class, got none"));
    }
    names.to_vec().map_err(|error| Error::invalid("labels", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        Vocabulary::parse(text, Tokens::Char).unwrap().names().map(str::to_owned).collect()
    }

    #[test]
    fn a_message_about_a_long_object_is_short() {
        let long = format!(r#"{{"stoi": {{"{}": 0}}}}"#, "a".repeat(100_000));
        assert!(refused(&long).len() < 400, "{}", refused(&long));
        let labels = parse_labels(&long).unwrap_err().to_string();
        assert!(labels.starts_with("labels: ") && labels.len() < 400, "{labels}");
        let key = format!(r#"{{"{}": 7}}"#, "a".repeat(100_000));
        assert!(refused(&key).len() < 400, "{}", refused(&key));
    }

    fn refused(text: &str) -> String {
        Vocabulary::parse(text, Tokens::Char).unwrap_err().to_string()
    }

    #[test]
    fn lines_are_verbatim_except_for_their_escapes() {
        assert_eq!(names("a\n \nb c"), ["a", " ", "b c"]);
        assert_eq!(names("a\r\nb\r\n"), ["a", "b"]);
        assert_eq!(names("\u{feff}a\nb\n"), ["a", "b"]);
        assert_eq!(names("\\n\n\\t\n\\r\n\\\\\n\\d\nx\\"), ["\n", "\t", "\r", "\\", "\\d", "x\\"]);
        // A lone backslash is one.
        assert_eq!(names("a\n\\\nb\n"), ["a", "\\", "b"]);
        assert_eq!(names("é\n日\n\u{1f600}\n"), ["é", "日", "\u{1f600}"]);
    }

    #[test]
    fn a_token_of_a_text_is_named_by_line_and_column() {
        let letters = Vocabulary::parse("a\n\\n\né\n", Tokens::Char).unwrap();
        assert_eq!(letters.encode("a\n\né", 1).unwrap(), [0, 1, 1, 2]);
        let words = Vocabulary::parse("a\né\n", Tokens::Word).unwrap();
        assert_eq!(words.encode(" a\né\n", 1).unwrap(), [0, 1]);
        for (text, place) in [
            ("x", "line 5, column 1"),
            ("éax", "line 5, column 3"),
            ("\na\néax", "line 7, column 3"),
        ] {
            let error = letters.encode(text, 5).unwrap_err().to_string();
            assert_eq!(error, format!("{place}: 'x' is not in the vocabulary"));
        }
        let error = words.encode("a\n\n é x", 1).unwrap_err().to_string();
        assert_eq!(error, "line 3, column 4: 'x' is not in the vocabulary");
    }

    #[test]
    fn an_escaped_text_is_a_token_or_several() {
        let letters = Vocabulary::parse("a\n\\n\n<e>\n<\n", Tokens::Char).unwrap();
        let letters = letters.with_unknown("<").unwrap();
        for (text, expected) in
            [("<e>", &[2][..]), ("\\n", &[1]), ("a\\na", &[0, 1, 0]), ("\n<", &[1, 3]), ("", &[])]
        {
            assert_eq!(letters.encode_escaped(text).unwrap(), expected, "{text}");
        }
        // The unknown token would stop at anything.
        assert!(letters.encode_escaped("b").is_err());
    }

    #[test]
    fn json_is_a_list_or_an_object() {
        assert_eq!(names(r#"["a", "\n", "é"]"#), ["a", "\n", "é"]);
        assert_eq!(names("{\"b\": 1, \"a\": 0}\n"), ["a", "b"]);
        // Brackets and digits are characters as well.
        assert_eq!(names("[\n]\n"), ["[", "]"]);
        assert_eq!(names("{\n\"\n}\n"), ["{", "\"", "}"]);
        assert_eq!(names("1\n"), ["1"]);
        assert_eq!(names("[\n1\n]\n"), ["[", "1", "]"]);
    }

    #[test]
    fn wrong_vocabularies_are_refused() {
        for (text, expected) in [
            ("", "vocabulary: expected a token on each line, got none"),
            ("a\nb\na\n", "vocabulary: expected each token once, got 'a' as ids 0 and 2"),
            (
                r#"["x", "\n", "\n"]"#,
                "vocabulary: expected each token once, got '\\n' as ids 1 and 2",
            ),
            (
                "a\n\nb\n",
                "vocabulary: line 2: expected a name, got an empty line; \\n is a line's end",
            ),
            (
                r#"{"0": "a", "1": "b"}"#,
                "vocabulary: expected an object from name to id, got one from id to name",
            ),
            (r#"{"a": 0, "b": 2}"#, "vocabulary: expected each id from 0 to 1 once, got 2 for 'b'"),
            (r#"{"a": 0, "b": 0}"#, "vocabulary: expected each id from 0 to 1 once, got 0 for 'b'"),
            (r#"{"a": "x"}"#, "vocabulary: expected each id from 0 to 0 once, got \"x\" for 'a'"),
            (
                "[\"a\", \"b\",]",
                "vocabulary: expected JSON, got trailing comma at line 1 column 11",
            ),
        ] {
            assert_eq!(refused(text), expected);
        }
    }

    #[test]
    fn text_becomes_ids_line_by_line() {
        let letters = Vocabulary::parse("a\nb\né\n \n<pad>\n", Tokens::Char).unwrap();
        let found = letters.encode_lines("ab\r\n\né a").unwrap();
        assert_eq!(found, [vec![0, 1], vec![], vec![2, 3, 0]]);
        assert!(letters.encode_lines("").unwrap().is_empty());
        let error = letters.encode_lines("ab\néax\n").unwrap_err().to_string();
        assert_eq!(error, "line 2, column 3: 'x' is not in the vocabulary");
        let error = letters.encode("a\u{1b}", 1).unwrap_err().to_string();
        assert_eq!(error, "line 1, column 2: '\\u{1b}' is not in the vocabulary");
        let letters = letters.with_unknown("<pad>").unwrap();
        assert_eq!(letters.unknown(), Some("<pad>"));
        assert_eq!(letters.encode("axb", 1).unwrap(), [0, 4, 1]);
        let error = letters.with_unknown("?").unwrap_err().to_string();
        assert_eq!(error, "vocabulary: expected the token '?', got none");
    }

    #[test]
    fn words_stand_between_white_space_and_keep_their_case() {
        let words = Vocabulary::parse("the\ncat\n", Tokens::Word).unwrap();
        assert_eq!(words.encode(" the\u{a0}cat\tthe ", 1).unwrap(), [0, 1, 0]);
        let error = words.encode("the  Cat", 4).unwrap_err().to_string();
        assert_eq!(error, "line 4, column 6: 'Cat' is not in the vocabulary");
    }

    #[test]
    fn labels_may_repeat() {
        assert_eq!(parse_labels("yes\nno\nyes\n").unwrap(), ["yes", "no", "yes"]);
        assert!(parse_labels("").is_err());
    }
}
