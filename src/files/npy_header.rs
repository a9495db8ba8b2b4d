//! The header of a .npy file, read strictly.
//!
//! It is a Python dictionary. A general reader of Python literals can take time exponential in the depth of nesting,
//! and sizes can overflow. This one accepts exactly three keys, once each, steps over the fields of a structured type,
//! and checks every product before it allocates a byte.

use std::io::Read;

use super::header::check_size;
use super::limit::MAX_NPY_HEADER_BYTES;
use super::{Header, StoredType, escaped};
use crate::files::error::FileError;

impl Header {
    /// Reads the header of a .npy file with its magic string, and no byte after it; returns the header and its length
    /// in bytes. `place` names the file in errors.
    ///
    /// # Errors
    /// [`FileError::Malformed`], also for a type that is not read.
    pub fn read(reader: &mut dyn Read, place: &str) -> Result<(Self, u64), FileError> {
        let (header, length, refusal) = Self::read_any(reader, place)?;
        refusal.map_or(Ok((header, length)), |what| Err(FileError::malformed(place, what)))
    }

    /// [`Header::read`] for numbers of any type. For one that is not read, it has the words of the error too.
    pub(super) fn read_any(
        reader: &mut dyn Read,
        place: &str,
    ) -> Result<(Self, u64, Option<String>), FileError> {
        let malformed = |what: String| Err(FileError::malformed(place, what));
        let mut bytes = Vec::new();
        // Reads `count` more bytes, or all that there are.
        let mut read = |bytes: &mut Vec<u8>, count: usize| {
            let read = reader.take(count as u64).read_to_end(bytes);
            read.map_err(FileError::reading(place))
        };
        if read(&mut bytes, 8)? < 8 {
            return malformed(format!("truncated header at byte {}", bytes.len()));
        }
        if !bytes.starts_with(b"\x93NUMPY") {
            return malformed("expected .npy, got another format".to_owned());
        }
        let (major, minor) = (bytes[6], bytes[7]);
        if minor > 0 || !(1..=3).contains(&major) {
            let what = format!("format version {major}.{minor}; supported 1.0, 2.0, 3.0");
            return malformed(what);
        }
        let length_bytes = if major == 1 { 2 } else { 4 };
        if read(&mut bytes, length_bytes)? < length_bytes {
            return malformed(format!("truncated header at byte {}", bytes.len()));
        }
        let start = bytes.len();
        let length =
            bytes[8..].iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
        if length > MAX_NPY_HEADER_BYTES {
            return malformed(format!("header of {length} bytes; limit {MAX_NPY_HEADER_BYTES}"));
        }
        let got = read(&mut bytes, length)?;
        if got < length {
            return malformed(format!("expected a header of {length} bytes, got {got}"));
        }
        let header = parse(&bytes, start);
        header.map_or_else(malformed, |(header, refusal)| Ok((header, bytes.len() as u64, refusal)))
    }
}

/// Parses the dictionary that starts at byte `start` of the file. The text is the error for a type that is not read.
fn parse(bytes: &[u8], start: usize) -> Result<(Header, Option<String>), String> {
    check_text(bytes, start)?;
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
    let (stored, big_endian, refusal) = descr.ok_or_else(|| missing("descr"))?;
    let fortran_order = fortran_order.ok_or_else(|| missing("fortran_order"))?;
    let shape = shape.ok_or_else(|| missing("shape"))?;
    check_size(&shape, stored)?;
    Ok((Header { stored, big_endian, fortran_order, shape }, refusal))
}

/// Checks that the bytes from `start` on are text as the version of the format allows it.
fn check_text(bytes: &[u8], start: usize) -> Result<(), String> {
    let text = &bytes[start..];
    if bytes[6] < 3 {
        if let Some(at) = text.iter().position(|byte| !byte.is_ascii()) {
            return Err(format!("expected an ASCII header, got another byte at {}", start + at));
        }
    } else if let Err(error) = std::str::from_utf8(text) {
        let at = start + error.valid_up_to();
        return Err(format!("expected a UTF-8 header, got bad bytes at {at}"));
    }
    if text.last() != Some(&b'\n') {
        return Err(format!("expected a newline at the header's end, byte {}", bytes.len()));
    }
    Ok(())
}

/// A position in the header's text.
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
        let found = self.skip(byte);
        found.then_some(()).ok_or_else(|| self.unexpected(&format!("'{}'", char::from(byte))))
    }

    /// The error for the text at this position.
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
        // Control characters are escaped, because messages show the text.
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

    /// The type of the numbers, whether they are big-endian, and the error for a type that is not read.
    fn descr(&mut self) -> Result<(StoredType, bool, Option<String>), String> {
        self.space();
        if self.bytes.get(self.at) == Some(&b'[') {
            let hint = "save one of its fields: np.save(file, array['name'])";
            let refusal = format!("dtype is structured; expected numbers ({hint})");
            let ends = self.skip_fields();
            let structured = (StoredType::Other("structured"), false, Some(refusal.clone()));
            return ends.then_some(structured).ok_or(refusal);
        }
        let descr = self.string("a dtype")?;
        let order = descr.chars().next().filter(|c| "<>=|".contains(*c));
        let rest = order.map_or(descr.as_str(), |_| &descr[1..]);
        // `=` and no mark mean the byte order of the writer. NumPy never writes them; nearly every machine is
        // little-endian.
        let big_endian = order == Some('>');
        if let Some(stored) = StoredType::parse(rest) {
            return Ok((stored, big_endian, None));
        }
        let (kind, refusal) = unsupported(&descr, rest);
        Ok((StoredType::Other(kind), big_endian, Some(refusal)))
    }

    /// Steps over the list of the fields of a structured type; false if it does not end.
    fn skip_fields(&mut self) -> bool {
        let mut depth = 0_usize;
        loop {
            self.space();
            match self.bytes.get(self.at) {
                Some(b'[' | b'(') => depth += 1,
                Some(b']' | b')') => depth -= 1,
                Some(b'\'' | b'"') if self.string("a name").is_err() => return false,
                // The name is behind the position.
                Some(b'\'' | b'"') => continue,
                Some(_) => {}
                None => return false,
            }
            self.at += 1;
            if depth == 0 {
                return true;
            }
        }
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
            let size = digits.parse();
            shape.push(size.map_err(|_| format!("size {digits} in shape is too large"))?);
            if !closed {
                break;
            }
        }
        Ok(shape)
    }
}

/// The kind of a dtype that is not read, and the error for it, with a remedy.
fn unsupported(descr: &str, letter_and_size: &str) -> (&'static str, String) {
    let as_float = "np.save(file, array.astype('float32'))";
    let mut letters = letter_and_size.chars();
    let (kind, name, remedy) = match (letters.next().unwrap_or(' '), letters.as_str()) {
        ('V', "2") => ("raw bytes", "raw bytes, as bfloat16 is saved", as_float),
        ('V', "1") => ("raw bytes", "raw bytes, as float8 and int4 are saved", as_float),
        ('O', _) => ("object", "objects", "np.save(file, np.array(list, dtype='float32'))"),
        ('V', _) => ("structured", "structured", "np.save(file, array['name'])"),
        ('S' | 'a' | 'U', _) => ("text", "text", as_float),
        ('M', _) => ("datetime64", "dates or durations", "np.save(file, array.astype('int64'))"),
        ('m', _) => ("timedelta64", "dates or durations", "np.save(file, array.astype('int64'))"),
        ('c', "8") | ('F', "") => ("complex64", "complex", "np.save(file, array.real)"),
        ('c', "16") | ('D', "") => ("complex128", "complex", "np.save(file, array.real)"),
        ('c' | 'F' | 'D' | 'G', _) => ("complex", "complex", "np.save(file, array.real)"),
        ('f', "1") => ("float8", "float8", as_float),
        ('f', "10" | "12" | "16") | ('g', "") => {
            ("longdouble", "a long double", "np.save(file, array.astype('float64'))")
        }
        _ => ("other", "unknown", as_float),
    };
    (kind, format!("dtype '{descr}' is {name}; expected numbers ({remedy})"))
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
    fn headers_of_all_versions_are_read_and_truncated_ones_are_refused() {
        for version in 1..=3 {
            let bytes = header(version);
            let read = |bytes: &[u8]| Header::read(&mut &bytes[..], "x.npy");
            let expected = (Header::plain(StoredType::F32, &[5, 3, 10]), bytes.len() as u64);
            assert_eq!(read(&bytes).unwrap(), expected);
            for end in 0..bytes.len() {
                assert!(matches!(read(&bytes[..end]), Err(FileError::Malformed { .. })), "{end}");
            }
        }
    }

    /// A changed byte in the dictionary may give another valid header; one before it may not.
    #[test]
    fn a_header_with_any_byte_changed_has_an_answer() {
        let bytes = header(1);
        for at in 0..bytes.len() {
            for byte in [0, b'\'', b'(', b'9', 0xff] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                let answer = Header::read(&mut &changed[..], "x.npy");
                assert!(answer.is_err() || at >= 10 || byte == bytes[at], "byte {at}: {byte}");
            }
        }
    }
}
