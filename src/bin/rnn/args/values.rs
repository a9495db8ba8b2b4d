//! Parsers of values, each with a message for other words.

use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU64;
use std::str::FromStr;

use clap::builder::{PossibleValue, TypedValueParser};
use elman::files::StoredType;
use elman::{Dtype, Error, Kernel, Nonlinearity};

use super::COMMANDS;

/// The value of a word, if it is `accepted`; the message names the `expected` values.
fn parsed<T: FromStr>(
    text: &str,
    accepted: impl Fn(&T) -> bool,
    expected: &str,
) -> Result<T, String> {
    let value = text.parse().ok().filter(accepted);
    value.ok_or_else(|| format!("expected {expected}, got '{text}'"))
}

pub(crate) fn size(text: &str) -> Result<usize, String> {
    parsed(text, |&size| size > 0, "a whole number of at least 1")
}

pub(crate) fn every(text: &str) -> Result<NonZeroU64, String> {
    parsed(text, |_| true, "a whole number of at least 1")
}

pub(crate) fn whole(text: &str) -> Result<usize, String> {
    parsed(text, |_| true, "a whole number")
}

/// Most digits behind the point: 17 significant digits determine an f64.
const MAX_DIGITS: usize = 17;

pub(crate) fn digits(text: &str) -> Result<usize, String> {
    parsed(text, |&digits| digits <= MAX_DIGITS, "a number of digits, from 0 to 17")
}

/// Most pixels of a picture, which take 3 bytes each.
#[cfg(feature = "plot")]
const MAX_PIXELS: u32 = 1 << 26;

/// Least width and height: few smaller pictures have room for one panel and its words.
#[cfg(feature = "plot")]
const MIN_SIDE: u32 = 200;

/// Width and height of a picture, as in 800x600.
#[cfg(feature = "plot")]
pub(crate) fn pixels(text: &str) -> Result<[u32; 2], String> {
    let size = text
        .split_once('x')
        .and_then(|(width, height)| Some([width.parse().ok()?, height.parse::<u32>().ok()?]));
    let fits = |[width, height]: &[u32; 2]| {
        *width >= MIN_SIDE
            && *height >= MIN_SIDE
            && width.checked_mul(*height).is_some_and(|all| all <= MAX_PIXELS)
    };
    let expected = "a size such as 1000x600, at least 200x200 and at most 67108864 pixels";
    size.filter(fits).ok_or_else(|| format!("expected {expected}, got '{text}'"))
}

/// A part of many files: those whose number is K more than a multiple of N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

pub(crate) fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/').and_then(|(first, count)| {
        Some(Shard { first: first.parse().ok()?, count: count.parse().ok()? })
    });
    let shard = parts.filter(|shard| shard.first < shard.count);
    shard.ok_or_else(|| format!("expected K/N, whole numbers with K from 0 to N - 1, got '{text}'"))
}

pub(crate) fn number(text: &str) -> Result<f64, String> {
    parsed(text, |_| true, "a number, nan, inf or -inf")
}

pub(crate) fn tolerance(text: &str) -> Result<f64, String> {
    parsed(text, |&tolerance| tolerance >= 0.0, "a number of at least 0")
}

pub(crate) fn temperature(text: &str) -> Result<f64, String> {
    let is_temperature = |x: &f64| x.is_finite() && *x >= 0.0;
    parsed(text, is_temperature, "a finite number of at least 0")
}

pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    parsed(text, |&seconds: &f64| seconds.is_finite() && seconds >= 0.0, "a number of seconds")
}

pub(crate) fn probability(text: &str) -> Result<f64, String> {
    let expected = "dropout in [0, 1], the probability of an element being zeroed";
    parsed(text, |p| (0.0..=1.0).contains(p), expected)
}

/// A parser of words from a list, which completions offer, with a message of this program's own for others.
#[derive(Clone, Copy)]
pub(crate) struct Named<T> {
    parse: fn(&str) -> Result<T, String>,
    names: fn() -> Vec<&'static str>,
}

pub(crate) const NONLINEARITY: Named<Nonlinearity> = Named {
    parse: |text| text.parse().map_err(|error: Error| error.to_string()),
    names: || vec!["tanh", "relu"],
};

pub(crate) const KERNEL: Named<Kernel> =
    Named { parse: kernel, names: || Kernel::supported().map(Kernel::name).collect() };

pub(crate) const DTYPE: Named<Dtype> = Named { parse: dtype, names: || vec!["f32", "f64"] };

/// A type of numbers in files, by its name in Rust or in NumPy and PyTorch.
pub(crate) const STORED: Named<StoredType> =
    Named { parse: stored, names: || NAMES.map(|(name, ..)| name).to_vec() };

const NAMES: [(&str, &str, StoredType); 13] = [
    ("f32", "float32", StoredType::F32),
    ("f64", "float64", StoredType::F64),
    ("f16", "float16", StoredType::F16),
    ("bf16", "bfloat16", StoredType::BF16),
    ("i8", "int8", StoredType::I8),
    ("i16", "int16", StoredType::I16),
    ("i32", "int32", StoredType::I32),
    ("i64", "int64", StoredType::I64),
    ("u8", "uint8", StoredType::U8),
    ("u16", "uint16", StoredType::U16),
    ("u32", "uint32", StoredType::U32),
    ("u64", "uint64", StoredType::U64),
    ("bool", "bool", StoredType::Bool),
];

/// Any word: the command itself looks it up among all commands.
pub(crate) const COMMAND: Named<String> = Named {
    parse: |name| Ok(name.to_owned()),
    names: || COMMANDS.iter().map(String::as_str).collect(),
};

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Named<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        self.parse.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new((self.names)().into_iter().map(PossibleValue::new)))
    }
}

/// Names of the columns of a table, with commas between them. One in quotes may have commas itself, and a quote as two.
#[allow(clippy::unnecessary_wraps, reason = "as the other parsers")]
pub(crate) fn columns(text: &str) -> Result<Vec<String>, String> {
    let (mut names, mut quoted) = (vec![String::new()], false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let Some(name) = names.last_mut() else { break };
        match c {
            '"' if quoted && rest.next_if_eq(&'"').is_some() => name.push('"'),
            '"' if quoted => quoted = false,
            '"' if name.trim().is_empty() => quoted = true,
            ',' if !quoted => names.push(String::new()),
            _ => name.push(c),
        }
    }
    Ok(names)
}

fn kernel(text: &str) -> Result<Kernel, String> {
    Kernel::supported().find(|kernel| kernel.name() == text).ok_or_else(|| {
        let names = (KERNEL.names)().join(", ");
        format!("expected a kernel that this CPU supports, {names}, got '{text}'")
    })
}

fn dtype(text: &str) -> Result<Dtype, String> {
    match text {
        "f32" | "float32" => Ok(Dtype::F32),
        "f64" | "float64" => Ok(Dtype::F64),
        _ => Err(format!("expected dtype f32 or f64, got '{text}'")),
    }
}

fn stored(text: &str) -> Result<StoredType, String> {
    let found = NAMES.iter().find(|(short, long, _)| [short, long].contains(&&text));
    found.map(|(.., stored)| *stored).ok_or_else(|| {
        let names = NAMES.map(|(name, ..)| name).join(", ");
        format!("expected one of {names}, got '{text}'")
    })
}

/// Bytes, with K, M or G for powers of 1024, as in head and dd.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let shift = match text.bytes().last() {
        Some(b'K') => 10,
        Some(b'M') => 20,
        Some(b'G') => 30,
        _ => 0,
    };
    let digits = if shift > 0 { &text[..text.len() - 1] } else { text };
    let bytes = digits.parse().ok().and_then(|number: u64| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| format!("expected a number of bytes, such as 1000000 or 64M, got '{text}'"))
}

/// A seed as in `torch.manual_seed`, -2^63 to 2^64 - 1, of which a negative one counts modulo 2^64; or one that is
/// drawn here.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    if text == "random" {
        // The standard library seeds its hash tables from the system.
        return Ok(RandomState::new().build_hasher().finish());
    }
    let unsigned = text.parse::<u64>().ok();
    let seed = unsigned.or_else(|| text.parse::<i64>().ok().map(i64::cast_unsigned));
    seed.ok_or_else(|| format!("expected a seed from -2^63 to 2^64 - 1, or random, got '{text}'"))
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn names_of_columns_may_stand_in_quotes() {
        for (text, expected) in [
            ("a,b", &["a", "b"][..]),
            ("a, \"b, x\",2", &["a", " b, x", "2"]),
            ("\"say \"\"b\"\"\"", &["say \"b\""]),
            ("5\",a", &["5\"", "a"]),
            ("a,", &["a", ""]),
        ] {
            assert_eq!(columns(text), Ok(expected.iter().map(ToString::to_string).collect()));
        }
    }
}
