//! The file of `rnn stream --state`.

use anyhow::Result;
use elman::files::{Bundle, StoredType};
use serde_json::json;

use crate::args::Info;
use crate::pipeline::state::MEMBERS as STATE_MEMBERS;

use super::description::{Description, pairs};
use super::facts::{self, Facts};
use super::pieces::integers;

/// `None` if the bundle is no such state.
pub(super) fn describe(bundle: &mut Bundle, args: &Info) -> Result<Option<Description>> {
    let Some([h_n, count, fingerprint]) = members(bundle) else { return Ok(None) };
    let count: i128 = integers(bundle, count)?.iter().sum();
    let bytes = integers(bundle, fingerprint)?;
    let fingerprint = format!("{:016x}", bytes.iter().fold(0, |sum, byte| sum << 8 | byte));
    let shape = &bundle.entries()[h_n].shape;
    let axes: &[&str] = match shape.len() {
        2 => &["num_layers", "hidden_size"],
        _ => &["num_layers", "batch", "hidden_size"],
    };
    let sizes = axes.iter().zip(shape).map(|(axis, size)| format!("{axis} {size}"));
    let sizes = sizes.collect::<Vec<_>>().join(", ");
    let facts = [Facts::gather(STATE_MEMBERS[0], bundle.reader(h_n)?, args.values, |_| {})?];
    let mut lines = pairs(&[
        ("count", format!("{count}, the arrays or frames that have gone into it")),
        ("fingerprint", format!("{fingerprint}, of the weights and the nonlinearity")),
        ("h_n", sizes),
    ]);
    lines.extend(facts::lines(&facts));
    let count = i64::try_from(count).ok();
    let object = json!({
        "count": count,
        "fingerprint": fingerprint,
        "axes": axes,
        "tensors": facts::json(&facts),
    });
    Ok(Some(Description::new(bundle.place(), "stream state", &bundle.format(), lines, object)))
}

/// Indices of a state's members, if the bundle has these alone, with their types.
fn members(bundle: &Bundle) -> Option<[usize; 3]> {
    let entries = bundle.entries();
    let position = |name| entries.iter().position(|entry| entry.name == name);
    let [h_n, count, fingerprint] = STATE_MEMBERS.map(position);
    let [h_n, count, fingerprint] = [h_n?, count?, fingerprint?];
    let own = entries.len() == STATE_MEMBERS.len()
        && entries[h_n].stored.is_computed()
        && matches!(entries[h_n].shape.len(), 2 | 3)
        && entries[count].stored == StoredType::I64
        && matches!(entries[count].shape[..], [] | [1])
        && entries[fingerprint].stored == StoredType::U8
        && entries[fingerprint].shape == [8];
    own.then_some([h_n, count, fingerprint])
}
