//! The header of a .npy file, read strictly.
//!
//! It is a Python dictionary. A general reader of Python literals can be led into time exponential in
//! the depth of nesting, and sizes can be chosen to overflow; so exactly three keys are taken, once each,
//! with nothing nested, and every product is checked before a byte is allocated for it.

use std::io::Read;

use super::header::check_size;
use super::limit::MAX_NPY_HEADER_BYTES;
use super::{Header, StoredType, escaped};
use crate::files::error::FileError;

impl Header {
    /// Reads the header of a .npy file, magic string included, and nothing behind it; returns the header and its
    /// length in bytes. `place` names the file in errors; `len` is the length of the file, if it is known.
    ///
    /// # Errors
    /// [`FileError::Malformed`] says what was expected; [`FileError::Read`].
    pub fn read(
        reader: &mut dyn Read,
        place: &str,
        len: Option<u64>,
    ) -> Result<(Self, u64), FileError> {
        let malformed = |what: String| FileError::Malformed { place: place.to_owned(), what };
        let mut bytes = Vec::new();
        fill(reader, &mut bytes, 8, place)?;
        if !bytes.starts_with(b"\x93NUMPY") {
            return Err(malformed("expected .npy, got another format".to_owned()));
        }
        let version = (bytes[6], bytes[7]);
        let length_bytes = match version {
            (1, 0) => 2,
            (2 | 3, 0) => 4,
            (major, minor) => {
                let what = format!("format version {major}.{minor}; supported 1.0, 2.0, 3.0");
                return Err(malformed(what));
            }
        };
        fill(reader, &mut bytes, 8 + length_bytes, place)?;
        let mut length = [0; 8];
        length[..length_bytes].copy_from_slice(&bytes[8..]);
        let length = u64::from_le_bytes(length);
        if length > MAX_NPY_HEADER_BYTES as u64 {
            return Err(malformed(format!(
                "header of {length} bytes; limit {MAX_NPY_HEADER_BYTES}"
            )));
        }
        let start = bytes.len();
        let mut got = len.map_or(length, |len| len.saturating_sub(start as u64));
        if got >= length {
            // `length` is at most the limit, as checked above.
            got = read_up_to(reader, &mut bytes, length, place)?;
        }
        if got < length {
            return Err(malformed(format!("expected a header of {length} bytes, got {got}")));
        }
        Ok((parse(&bytes, start, version.0).map_err(malformed)?, bytes.len() as u64))
    }
}

/// Reads until `bytes` has `len` of them.
fn fill(
    reader: &mut dyn Read,
    bytes: &mut Vec<u8>,
    len: usize,
    place: &str,
) -> Result<(), FileError> {
    let missing = (len - bytes.len()) as u64;
    if read_up_to(reader, bytes, missing, place)? < missing {
        let what = format!("truncated header at byte {}", bytes.len());
        return Err(FileError::malformed(place, what));
    }
    Ok(())
}

/// Reads up to `more` further bytes, and returns how many there were.
fn read_up_to(
    reader: &mut dyn Read,
    bytes: &mut Vec<u8>,
    more: u64,
    place: &str,
) -> Result<u64, FileError> {
    let got = reader.take(more).read_to_end(bytes).map_err(FileError::reading(place))?;
    Ok(got as u64)
}

/// Parses the dictionary that starts at byte `start` of the file.
fn parse(bytes: &[u8], start: usize, version: u8) -> Result<Header, String> {
    check_text(bytes, start, version)?;
    let mut cursor = Cursor { bytes, at: start };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    cursor.expect(b'{')?;
    while !cursor.skip(b'}') {
        let key = cursor.string("a key of the header")?;
        cursor.expect(b':')?;
        let repeated = match key.as_str() {
            "descr" => descr.replace(cursor.descr()?).is_some(),
            "fortran_order" => fortran_order.replace(cursor.boolean()?).is_some(),
            "shape" => shape.replace(cursor.shape()?).is_some(),
            _ => return Err(format!("unknown key '{key}' in the header")),
        };
        if repeated {
            return Err(format!("key '{key}' stands twice in the header"));
        }
        if !cursor.skip(b',') {
            cursor.expect(b'}')?;
            break;
        }
    }
    cursor.space();
    if cursor.at < bytes.len() {
        return Err(cursor.unexpected("the end of the header"));
    }
    let missing = |key: &str| format!("key '{key}' is missing in the header");
    let (stored, big_endian) = descr.ok_or_else(|| missing("descr"))?;
    let fortran_order = fortran_order.ok_or_else(|| missing("fortran_order"))?;
    let shape = shape.ok_or_else(|| missing("shape"))?;
    check_size(&shape, stored)?;
    Ok(Header { stored, big_endian, fortran_order, shape })
}

/// Checks the bytes from `start` on for what the version of the format allows.
fn check_text(bytes: &[u8], start: usize, version: u8) -> Result<(), String> {
    let text = &bytes[start..];
    if version < 3 {
        if let Some(at) = text.iter().position(|byte| !byte.is_ascii()) {
            return Err(format!("expected an ASCII header, got another byte at {}", start + at));
        }
    } else if let Err(error) = std::str::from_utf8(text) {
        return Err(format!(
            "expected a UTF-8 header, got bad bytes at {}",
            start + error.valid_up_to()
        ));
    }
    if text.last() != Some(&b'\n') {
        return Err(format!("expected a newline at the header's end, byte {}", bytes.len()));
    }
    Ok(())
}

/// A place in the header's text.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn space(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// Steps over `byte` if it comes next.
    fn skip(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.skip(byte) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("'{}'", char::from(byte))))
        }
    }

    /// Says what stands here instead.
    fn unexpected(&self, expected: &str) -> String {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let end = rest.iter().position(|byte| b",)}\n".contains(byte)).unwrap_or(rest.len());
        let token = String::from_utf8_lossy(&rest[..end.clamp(usize::from(!rest.is_empty()), 40)]);
        format!("expected {expected} at byte {}, got '{}'", self.at, token.trim().escape_default())
    }

    /// The characters from here on that are accepted. The first other one is not consumed.
    fn word(&mut self, accept: impl Fn(u8) -> bool) -> String {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| !accept(byte)).unwrap_or(rest.len());
        self.at += len;
        String::from_utf8_lossy(&rest[..len]).into_owned()
    }

    fn string(&mut self, what: &str) -> Result<String, String> {
        self.space();
        let Some(&quote @ (b'\'' | b'"')) = self.bytes.get(self.at) else {
            return Err(self.unexpected(what));
        };
        self.at += 1;
        let text = self.word(|byte| byte != quote && byte != b'\n');
        self.expect(quote)?;
        // Control characters are escaped here, where they come in, because messages show the text.
        Ok(escaped(&text))
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.space();
        let before = self.at;
        match self.word(|byte| byte.is_ascii_alphanumeric() || byte == b'_').as_str() {
            "True" => Ok(true),
            "False" => Ok(false),
            _ => {
                self.at = before;
                Err(self.unexpected("True or False for fortran_order"))
            }
        }
    }

    /// The type of the numbers, and whether they are big-endian.
    fn descr(&mut self) -> Result<(StoredType, bool), String> {
        self.space();
        if self.bytes.get(self.at) == Some(&b'[') {
            let hint = "save one of its fields: np.save(file, array['name'])";
            return Err(format!("dtype is structured; expected numbers ({hint})"));
        }
        let descr = self.string("a dtype")?;
        let order = descr.chars().next().filter(|c| "<>=|".contains(*c));
        let rest = order.map_or(descr.as_str(), |_| &descr[1..]);
        let letter = rest.chars().next().unwrap_or(' ');
        let size = rest.get(letter.len_utf8()..).unwrap_or("");
        let stored = StoredType::parse(rest).ok_or_else(|| unsupported(&descr, letter, size))?;
        // `=` and no mark mean the writer's own order. NumPy never writes them; little-endian is the
        // order of nearly every machine.
        Ok((stored, order == Some('>')))
    }

    fn shape(&mut self) -> Result<Vec<usize>, String> {
        if !self.skip(b'(') {
            return Err(self.unexpected("a tuple for shape"));
        }
        let mut shape = Vec::new();
        while !self.skip(b')') {
            self.space();
            if self.bytes.get(self.at) == Some(&b'-') {
                let expected = format!("a size of at least 0 for axis {} of shape", shape.len());
                return Err(self.unexpected(&expected));
            }
            let before = self.at;
            let digits = self.word(|byte| byte.is_ascii_digit());
            // Python 2 marked long integers.
            if !digits.is_empty() && self.bytes.get(self.at) == Some(&b'L') {
                self.at += 1;
            }
            let closed = self.skip(b',');
            let ends = closed || (self.skip(b')') && !shape.is_empty());
            if digits.is_empty() || !ends {
                self.at = before;
                return Err(self.unexpected("a tuple of whole numbers for shape"));
            }
            let size =
                digits.parse().map_err(|_| format!("size {digits} in shape is too large"))?;
            shape.push(size);
            if !closed {
                break;
            }
        }
        Ok(shape)
    }
}

/// Why a dtype cannot be read, and what to do about it.
fn unsupported(descr: &str, letter: char, size: &str) -> String {
    let (name, remedy) = match (letter, size) {
        ('V', "2") => ("raw bytes, as bfloat16 is saved", "np.save(file, array.astype('float32'))"),
        ('O', _) => ("objects", "np.save(file, np.array(list, dtype='float32'))"),
        ('V', _) => ("structured", "np.save(file, array['name'])"),
        ('S' | 'a' | 'U', _) => ("text", "np.save(file, array.astype('float32'))"),
        ('M' | 'm', _) => ("dates or durations", "np.save(file, array.astype('int64'))"),
        ('c', _) => ("complex", "np.save(file, array.real)"),
        ('f', _) => ("a long double", "np.save(file, array.astype('float64'))"),
        _ => ("unknown", "np.save(file, array.astype('float32'))"),
    };
    format!("dtype '{descr}' is {name}; expected numbers ({remedy})")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header as NumPy writes it.
    fn header(version: u8) -> Vec<u8> {
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (5, 3, 10), }\n";
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        let length = if version == 1 { &length[..2] } else { &length[..] };
        [b"\x93NUMPY", &[version, 0][..], length, text.as_bytes()].concat()
    }

    #[test]
    fn headers_of_all_versions_are_read_and_what_is_cut_off_is_refused() {
        for version in 1..=3 {
            let bytes = header(version);
            let read = |bytes: &[u8]| Header::read(&mut &bytes[..], "x.npy", None);
            let expected = (Header::plain(StoredType::F32, &[5, 3, 10]), bytes.len() as u64);
            assert_eq!(read(&bytes).unwrap(), expected);
            for end in 0..bytes.len() {
                assert!(matches!(read(&bytes[..end]), Err(FileError::Malformed { .. })), "{end}");
            }
        }
    }

    /// What another byte means, the literal's grammar says. None may be read where there is none.
    #[test]
    fn a_header_with_any_byte_changed_has_an_answer() {
        let bytes = header(1);
        for at in 0..bytes.len() {
            for byte in [0, b'\'', b'(', b'9', 0xff] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                let answer = Header::read(&mut &changed[..], "x.npy", None);
                assert!(answer.is_err() || at >= 10 || byte == bytes[at], "byte {at}: {byte}");
            }
        }
    }
}
