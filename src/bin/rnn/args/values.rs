//! Words to values, each with the message for a word that is none.

use std::num::NonZeroU64;

use elman::Kernel;
use elman::io::Dtype;

use super::Seed;

pub(crate) fn size(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&size| size > 0)
        .ok_or_else(|| format!("expected a whole number of at least 1, got '{text}'"))
}

pub(crate) fn every(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| format!("expected a whole number of at least 1, got '{text}'"))
}

pub(crate) fn whole(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("expected a whole number, got '{text}'"))
}

pub(crate) fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("expected a number, nan, inf or -inf, got '{text}'"))
}

pub(crate) fn tolerance(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|&tolerance: &f64| tolerance >= 0.0)
        .ok_or_else(|| format!("expected a number of at least 0, got '{text}'"))
}

pub(crate) fn probability(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(|| {
        format!(
            "expected dropout in [0, 1], the probability of an element being zeroed, got '{text}'"
        )
    })
}

pub(crate) fn kernel(text: &str) -> Result<Kernel, String> {
    Kernel::supported().find(|kernel| kernel.name() == text).ok_or_else(|| {
        let names: Vec<_> = Kernel::supported().map(Kernel::name).collect();
        format!("expected a kernel that this CPU supports, {}, got '{text}'", names.join(", "))
    })
}

pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
        .ok_or_else(|| format!("expected a number of seconds, got '{text}'"))
}

pub(crate) fn dtype(text: &str) -> Result<Dtype, String> {
    match text {
        "f32" | "float32" => Ok(Dtype::F32),
        "f64" | "float64" => Ok(Dtype::F64),
        _ => Err(format!("expected dtype f32 or f64, got '{text}'")),
    }
}

/// Bytes, with K, M or G for powers of 1024, as head and dd have them.
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

/// What `torch.manual_seed` takes: -2^63 to 2^64 - 1.
pub(crate) fn seed(text: &str) -> Result<Seed, String> {
    if text == "random" {
        return Ok(Seed::Random);
    }
    let unsigned = text.parse::<u64>().ok();
    let seed = unsigned.or_else(|| text.parse::<i64>().ok().map(i64::cast_unsigned));
    seed.map(Seed::Number)
        .ok_or_else(|| format!("expected a seed from -2^63 to 2^64 - 1, or random, got '{text}'"))
}
