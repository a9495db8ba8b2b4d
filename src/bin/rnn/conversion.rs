//! Numbers of another type than the one that is computed in.

use anyhow::Result;
use elman::files::{Dtype, Real, StoredType};

use crate::explain::hint;
use crate::failure::{Data, with_hint};

/// What is to be said about numbers that become `T`, with the name of their tensor. Integers and float16 are
/// converted; a float of the other size only where `--dtype` asks for it.
pub(crate) fn conversion<T: Real>(
    asked: Option<Dtype>,
    name: &str,
    stored: StoredType,
) -> Result<Option<String>> {
    if is_of_other_size::<T>(stored) && asked.is_none() {
        let message = format!("{name}: expected {}, as the layer is, got {stored}", T::DTYPE);
        return Err(with_hint(Data(message), hint::set("--dtype", T::DTYPE.to_string())));
    }
    Ok(note::<T>(name, stored))
}

/// What is to be said about numbers that become `T` in any case; none where they are of that type, or a
/// text, whose numbers are of the type that they are read as.
pub(crate) fn note<T: Real>(name: &str, stored: StoredType) -> Option<String> {
    let same = stored.is_computed() && stored.natural() == T::DTYPE || stored == StoredType::Text;
    (!same).then(|| format!("{name}: {stored} converted to {}", T::DTYPE))
}

/// Whether these are floats, and not `T`.
pub(crate) fn is_of_other_size<T: Real>(stored: StoredType) -> bool {
    stored.is_computed() && stored.natural() != T::DTYPE
}
