//! Numbers of another type than the layer.

use anyhow::Result;
use elman::files::StoredType;
use elman::{Dtype, Element};

use crate::explain::hint;
use crate::failure::{Data, with_hint};

/// A note about numbers that become `T`, with the name of their tensor. Integers and float16 are converted, a
/// float of the other size only with `--dtype`.
pub(crate) fn conversion<T: Element>(
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

/// A note about numbers that become `T`; `None` if they are of that type, or in a text, whose numbers have the
/// type that they are read as.
pub(crate) fn note<T: Element>(name: &str, stored: StoredType) -> Option<String> {
    let same = stored.is_computed() && stored.natural() == T::DTYPE || stored == StoredType::Text;
    (!same).then(|| format!("{name}: {stored} converted to {}", T::DTYPE))
}

/// Whether the numbers are floats of another size than `T`.
pub(crate) fn is_of_other_size<T: Element>(stored: StoredType) -> bool {
    stored.is_computed() && stored.natural() != T::DTYPE
}
