//! Instructions that make numbers and texts.

use std::io::{self, BufRead, Read};

use super::machine::Machine;
use super::{Value, broken};

/// Longest text that is kept. Names are shorter, and no reader needs longer texts.
const MAX_TEXT: u64 = 1 << 16;

impl Machine<'_> {
    /// A number, a truth value or a text.
    pub(super) fn constant(&mut self, code: u8) -> io::Result<()> {
        let value = match code {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(self.bytes::<1>()?[0].into()),
            b'M' => Value::Int(u16::from_le_bytes(self.bytes()?).into()),
            b'J' => Value::Int(i32::from_le_bytes(self.bytes()?).into()),
            b'G' => Value::Float(f64::from_be_bytes(self.bytes()?)),
            b'I' | b'L' => integer(&self.line()?),
            b'F' => self.line()?.parse().map_or(Value::Opaque, Value::Float),
            0x8a | 0x8b => {
                let length = self.length(if code == 0x8a { 1 } else { 4 })?;
                self.long(length)?
            }
            b'S' | b'V' => {
                let line = self.line()?;
                let text = if code == b'S' { unquoted(&line) } else { unescaped(&line, true) };
                return self.push_text(&text);
            }
            b'U' | 0x8c | b'X' | b'T' | 0x8d => {
                let length = self.length(match code {
                    b'U' | 0x8c => 1,
                    0x8d => 8,
                    _ => 4,
                })?;
                return self.text(length);
            }
            b'C' | b'B' | 0x8e | 0x96 => {
                let length = self.length(match code {
                    b'C' => 1,
                    b'B' => 4,
                    _ => 8,
                })?;
                self.skip(length)?
            }
            _ => return Err(broken(format!("unexpected pickle opcode 0x{code:02x}"))),
        };
        self.push(value)
    }

    /// A length in this many bytes.
    fn length(&mut self, bytes: usize) -> io::Result<u64> {
        let mut length = [0; 8];
        self.reader.read_exact(&mut length[..bytes])?;
        Ok(u64::from_le_bytes(length))
    }

    /// An integer of this many bytes, in two's complement.
    fn long(&mut self, length: u64) -> io::Result<Value> {
        let Some(length @ 1..=8) = usize::try_from(length).ok() else {
            return if length == 0 { Ok(Value::Int(0)) } else { self.skip(length) };
        };
        let mut bytes = [0; 8];
        self.reader.read_exact(&mut bytes[8 - length..])?;
        Ok(Value::Int(i64::from_le_bytes(bytes) >> (64 - 8 * length)))
    }

    /// A text of this many bytes. A long one is skipped.
    fn text(&mut self, length: u64) -> io::Result<()> {
        if length > MAX_TEXT {
            let value = self.skip(length)?;
            return self.push(value);
        }
        let mut bytes = Vec::new();
        Read::take(&mut *self.reader, length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(broken(format!("expected {length} bytes, found {}", bytes.len())));
        }
        self.push_text(&String::from_utf8_lossy(&bytes))
    }

    pub(super) fn push_text(&mut self, text: &str) -> io::Result<()> {
        let (start, end) = self.keep(text)?;
        self.push(Value::Text(start, end))
    }

    /// Stores a text, and returns its place.
    pub(super) fn keep(&mut self, text: &str) -> io::Result<(u32, u32)> {
        self.budget.charge(2 * text.len())?;
        let start = self.texts.len();
        self.texts.push_str(text);
        // The budget has fewer bytes than 32 bits count.
        let place = |at: usize| u32::try_from(at).map_err(|_| broken("too much text"));
        Ok((place(start)?, place(self.texts.len())?))
    }

    /// Skips the bytes of a value that nothing needs.
    fn skip(&mut self, length: u64) -> io::Result<Value> {
        let found = io::copy(&mut Read::take(&mut *self.reader, length), &mut io::sink())?;
        if found < length {
            return Err(broken(format!("expected {length} bytes, found {found}")));
        }
        Ok(Value::Opaque)
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A line of text, without its end. The rest of a long one is skipped.
    pub(super) fn line(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        Read::take(&mut *self.reader, MAX_TEXT).read_until(b'\n', &mut bytes)?;
        if bytes.len() as u64 == MAX_TEXT && bytes.last() != Some(&b'\n') {
            self.reader.skip_until(b'\n')?;
        } else if bytes.pop() != Some(b'\n') {
            return Err(broken("expected the end of a line, got that of the file"));
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The integer or truth value of a line.
fn integer(line: &str) -> Value {
    match line {
        "00" => Value::Bool(false),
        "01" => Value::Bool(true),
        _ => line.trim_end_matches('L').parse().map_or(Value::Opaque, Value::Int),
    }
}

/// A text in Python's quotes, as protocol 0 writes it.
fn unquoted(line: &str) -> String {
    let inner = |quote| line.strip_prefix(quote)?.strip_suffix(quote);
    unescaped(inner('\'').or_else(|| inner('"')).unwrap_or(line), false)
}

/// A text with Python's escapes; in a raw one, `\u` alone is an escape.
fn unescaped(text: &str, raw: bool) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        result.push_str(before);
        let Some(code) = after.chars().next() else { break };
        rest = &after[code.len_utf8()..];
        let digits = match code {
            'u' => 4,
            'U' => 8,
            'x' if !raw => 2,
            _ => 0,
        };
        let number = rest.get(..digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        match (number.and_then(char::from_u32).filter(|_| digits > 0), code) {
            (Some(character), _) => {
                result.push(character);
                rest = &rest[digits..];
            }
            (None, 'n') if !raw => result.push('\n'),
            (None, 't') if !raw => result.push('\t'),
            (None, 'r') if !raw => result.push('\r'),
            (None, code) if raw => result.extend(['\\', code]),
            (None, code) => result.push(code),
        }
    }
    result + rest
}
