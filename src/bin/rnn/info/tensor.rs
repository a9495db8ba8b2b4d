//! A single tensor, or the state of a generator, which is stored as one.

use anyhow::Result;
use elman::files::{FileError, Header, StoredType, TensorFile, TensorReader};
use elman::{Generator, STATE_BYTES};
use serde_json::{Value, json};

use super::description::{Description, Listed, merged, pairs, values_json};
use super::pieces::{Piece, for_each_piece};
use super::print::Printer;
use super::statistics::{Gathering, Occurrences, Statistics};
use crate::number::{json as number, or_none, rounded};
use crate::progress;
use crate::report::Notes;

pub(super) fn describe(mut file: TensorFile, values: bool) -> Result<Description> {
    let (place, format) = (file.place().to_owned(), file.format().to_owned());
    let header = file.header().clone();
    let maybe_state = header.stored == StoredType::U8 && header.shape == [STATE_BYTES];
    let mut bytes = Vec::new();
    let (statistics, values) = gather(file.reader()?, values, |piece| {
        if let (true, Piece::Integers(numbers)) = (maybe_state, piece) {
            bytes.extend(numbers.iter().filter_map(|&number| u8::try_from(number).ok()));
        }
    })?;
    let mut notes = Notes::default();
    let generator = maybe_state.then(|| Generator::from_state(&bytes));
    let (kind, mut lines, fields) = match &generator {
        Some(Ok(generator)) => of_generator(generator),
        _ => of_tensor(&header, &statistics, &mut notes),
    };
    if let Some(Err(error)) = generator {
        notes.notes.insert(0, format!("no {error}"));
    }
    lines.extend(values.clone());
    let fields = merged(fields, values_json(values));
    Ok(Description { place, kind, format, lines, fields, notes })
}

/// The kind, the lines and the JSON fields of a tensor. A note tells which numbers the statistics are of, if
/// these are not all.
fn of_tensor(
    header: &Header,
    statistics: &Statistics,
    notes: &mut Notes,
) -> (&'static str, Vec<String>, Value) {
    let Header { shape, stored, .. } = header;
    let (all, finite) = (header.count(), statistics.finite);
    let s = |count| if count == 1 { "" } else { "s" };
    let order = if header.fortran_order { "Fortran" } else { "C" };
    let byte_order = if header.big_endian { "big" } else { "little" };
    let is_text = *stored == StoredType::Text;
    // Single bytes and texts have none.
    let byte_order = (stored.size() > 1 && !is_text).then_some(byte_order);
    let endian = byte_order.map_or(String::new(), |order| format!("{order}-endian, "));
    let layout = if is_text { "shown as f64".to_owned() } else { format!("{endian}{order} order") };
    let mut rows = vec![
        ("shape", format!("{shape:?}, {all} number{}", s(all))),
        ("dtype", format!("{stored}, {layout}")),
    ];
    rows.extend(words(statistics));
    rows.push(("NaN", count(&statistics.nan)));
    rows.push(("inf", count(&statistics.inf)));
    let fields = json!({
        "shape": shape,
        "dtype": stored.to_string(),
        "order": order,
        "byte_order": byte_order,
    });
    if finite < all && finite > 0 {
        notes
            .note(format!("min, max, mean and std are of the {finite} finite number{}", s(finite)));
    }
    ("tensor", pairs(&rows), merged(fields, statistics_json(statistics)))
}

fn of_generator(generator: &Generator) -> (&'static str, Vec<String>, Value) {
    let (seed, position, block) = (generator.seed(), generator.position(), Generator::BLOCK_WORDS);
    let keeps_normal = generator.keeps_normal();
    let kept = if keeps_normal { "one" } else { "none" };
    let lines = pairs(&[
        ("seed", seed.to_string()),
        ("position", format!("{position} of a block of {block} words")),
        ("kept", format!("{kept} of a pair of normal samples")),
    ]);
    let fields = json!({
        "seed": seed,
        "position": position,
        "block": block,
        "keeps_normal": keeps_normal,
    });
    ("generator state", lines, fields)
}

/// Reads one tensor of several.
pub(super) fn listed(
    name: String,
    reader: TensorReader<'_>,
    values: bool,
) -> Result<Listed, FileError> {
    let Header { shape, stored, .. } = reader.header().clone();
    let (statistics, values) = gather(reader, values, |_| {})?;
    let mut all: Vec<_> =
        words(&statistics).iter().map(|(name, word)| format!("{name} {word}")).collect();
    if statistics.finite == 0 {
        all = vec!["no finite numbers".to_owned()];
    }
    for (name, found) in [("NaN", &statistics.nan), ("inf", &statistics.inf)] {
        if found.count > 0 {
            all.push(format!("{name} {}", count(found)));
        }
    }
    let stored = stored.to_string();
    let object = json!({"name": name, "shape": shape, "dtype": stored});
    let object = merged(object, statistics_json(&statistics));
    let row = [name, format!("{shape:?}"), stored, all.join(", ")];
    Ok(Listed { row, object, values })
}

/// Reads a tensor's numbers: their statistics and, if `values`, their print. `watch` sees them too.
fn gather(
    reader: TensorReader<'_>,
    values: bool,
    mut watch: impl FnMut(Piece<'_>),
) -> Result<(Statistics, Option<String>), FileError> {
    let header = reader.header().clone();
    let mut gathering = Gathering::new(&header);
    let printer = || Printer::new(header.stored, &header.shape, header.fortran_order);
    let mut printer = values.then(printer);
    let bar = progress::bytes(header.body_bytes());
    for_each_piece(reader, |piece| {
        gathering.add(piece);
        watch(piece);
        if let Some(printer) = &mut printer {
            printer.add(piece);
        }
        bar.inc((piece.len() * header.stored.size()) as u64);
    })?;
    bar.display.finish_and_clear();
    Ok((gathering.finish(), printer.map(|printer| printer.text())))
}

/// The statistics of the finite numbers, each with its name.
fn words(statistics: &Statistics) -> [(&'static str, String); 4] {
    let Statistics { min, max, mean, std, .. } = statistics;
    [
        ("min", or_none(min.map(|min| min.to_string()))),
        ("max", or_none(max.map(|max| max.to_string()))),
        ("mean", or_none(mean.map(rounded))),
        ("std", or_none(std.map(rounded))),
    ]
}

fn statistics_json(statistics: &Statistics) -> Value {
    let Statistics { min, max, mean, std, nan, inf, .. } = statistics;
    json!({
        "min": min.map(number),
        "max": max.map(number),
        "mean": mean,
        "std": std,
        "nan": {"count": nan.count, "first": nan.first},
        "inf": {"count": inf.count, "first": inf.first},
    })
}

/// The count, and the index of the first one.
fn count(found: &Occurrences) -> String {
    match &found.first {
        None => "none".to_owned(),
        Some(first) if found.count == 1 => format!("1, at {first:?}"),
        Some(first) => format!("{}, the first at {first:?}", found.count),
    }
}
