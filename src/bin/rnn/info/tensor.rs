//! A single tensor, or the state of a generator, which is stored as one.

use anyhow::Result;
use elman::files::{Entry, FileError, Header, StoredType, TensorFile, TensorReader};
use elman::{Generator, STATE_BYTES};
use serde_json::{Value, json};

use super::print::Printer;
use super::statistics::{Occurrences, Statistics};
use super::{Description, Listed, pairs};
use crate::args::Info;
use crate::pipeline::table::note_table;
use crate::report::{Notes, rounded};

/// Most names of columns in the text.
const MAX_NAMES: usize = 20;

pub(super) fn describe(mut tensor: TensorFile, values: bool) -> Result<Description> {
    let (file, format) = (tensor.place().to_owned(), tensor.format().to_owned());
    let header = tensor.header().clone();
    if let StoredType::Other(_) = header.stored {
        let (kind, lines, fields) = of_unread(&header);
        return Ok(Description { file, kind, format, lines, fields, ..Description::default() });
    }
    let names = tensor.column_names().to_vec();
    let mut notes = Notes::default();
    // The reader takes the table.
    note_table(&tensor, &mut notes);
    let maybe_state = header.stored == StoredType::U8 && header.shape == [STATE_BYTES];
    let mut bytes = Vec::new();
    let (statistics, values) = gather(tensor.reader()?, values, |bits| {
        if maybe_state {
            bytes.extend(bits.iter().filter_map(|&byte| u8::try_from(byte).ok()));
        }
    })?;
    let (kind, mut lines, mut fields) = match maybe_state.then(|| Generator::from_state(&bytes)) {
        Some(Ok(generator)) => of_generator(&generator),
        other => {
            notes.notes.extend(other.and_then(Result::err).map(|error| format!("no {error}")));
            of_tensor(&header, &statistics, &mut notes)
        }
    };
    add_names(&names, &mut lines, &mut fields);
    Ok(Description { file, kind, format, lines, fields, values, notes, ..Description::default() })
}

/// Says that the first line of a table names its columns.
fn add_names(names: &[String], lines: &mut Vec<String>, fields: &mut Value) {
    if let (false, Value::Object(fields)) = (names.is_empty(), fields) {
        lines.insert(0, format!("names  {}, from the first line", listed_names(names)));
        fields.insert("columns".to_owned(), json!(names));
    }
}

/// The first names of columns.
fn listed_names(names: &[String]) -> String {
    let shown = names.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
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
        "dtype": stored,
        "order": order,
        "byte_order": byte_order,
    });
    if finite < all && finite > 0 {
        let text = format!("min, max, mean and std are of the {finite} finite number{}", s(finite));
        notes.notes.push(text);
    }
    ("tensor", pairs(&rows), with_statistics(fields, statistics))
}

/// A tensor whose type is listed and not read.
fn of_unread(header: &Header) -> (&'static str, Vec<String>, Value) {
    let Header { stored, shape, .. } = header;
    let count = header.count();
    let s = if count == 1 { "" } else { "s" };
    let lines = pairs(&[
        ("shape", format!("{shape:?}, {count} number{s}")),
        ("dtype", format!("{stored}, not read")),
    ]);
    ("tensor", lines, without_statistics(None, *stored, shape))
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
    let fields =
        json!({"seed": seed, "position": position, "block": block, "keeps_normal": keeps_normal});
    ("generator state", lines, fields)
}

pub(super) fn listed(
    name: String,
    reader: TensorReader<'_>,
    args: &Info,
) -> Result<Listed, FileError> {
    let Header { shape, stored, .. } = reader.header().clone();
    let (statistics, values) = gather(reader, args.values, |_| {})?;
    let mut all: Vec<_> = words(&statistics).map(|(name, word)| format!("{name} {word}")).into();
    if statistics.finite == 0 {
        all = vec!["no finite numbers".to_owned()];
    }
    for (name, found) in [("NaN", &statistics.nan), ("inf", &statistics.inf)] {
        if found.count > 0 {
            all.push(format!("{name} {}", count(found)));
        }
    }
    let fields = json!({"name": name, "shape": shape, "dtype": stored});
    let fields = with_statistics(fields, &statistics);
    let row = [name, format!("{shape:?}"), stored.to_string(), all.join(", ")];
    Ok(Listed::new(row, fields, values, args.report))
}

/// One tensor of several whose type is listed and not read.
pub(super) fn unread(Entry { name, stored, shape }: Entry, args: &Info) -> Listed {
    let fields = without_statistics(Some(&name), stored, &shape);
    let row = [name, format!("{shape:?}"), stored.to_string(), "not read".to_owned()];
    Listed::new(row, fields, None, args.report)
}

/// The fields of a tensor that is not read: with a name as one of several, else with the layout of a single one.
fn without_statistics(name: Option<&str>, stored: StoredType, shape: &[usize]) -> Value {
    let mut fields = json!({});
    if let Some(name) = name {
        fields["name"] = json!(name);
    }
    (fields["shape"], fields["dtype"]) = (json!(shape), json!(stored.to_string()));
    let layout: &[_] = if name.is_none() { &["order", "byte_order"] } else { &[] };
    for field in layout.iter().chain(&["min", "max", "mean", "std", "nan", "inf"]) {
        fields[field] = Value::Null;
    }
    fields
}

/// Reads a tensor's numbers: their statistics and, if `values`, their print. `watch` sees the bits too.
pub(super) fn gather(
    reader: TensorReader<'_>,
    values: bool,
    mut watch: impl FnMut(&[u64]),
) -> Result<(Statistics, Option<String>), FileError> {
    let header = reader.header().clone();
    let mut statistics = Statistics::new(&header);
    let printer = || Printer::new(header.stored, &header.shape, header.fortran_order);
    let mut printer = values.then(printer);
    for_each_piece(reader, |bits| {
        statistics.add(bits);
        watch(bits);
        if let Some(printer) = &mut printer {
            printer.add(bits.len(), |index| header.stored.number(bits[index]));
        }
    })?;
    Ok((statistics, printer.map(|printer| printer.text())))
}

/// Visits the bits of all numbers, piece by piece, in the order of the file, in which they need no buffer: a
/// tensor may be larger than memory.
pub(super) fn for_each_piece(
    reader: TensorReader<'_>,
    mut visit: impl FnMut(&[u64]),
) -> Result<(), FileError> {
    let (mut reader, mut bits) = (reader.in_file_order(), Vec::new());
    loop {
        reader.next_bits(&mut bits)?;
        if bits.is_empty() {
            return Ok(());
        }
        visit(&bits);
    }
}

/// The statistics of the finite numbers, each with its name.
fn words(statistics: &Statistics) -> [(&'static str, String); 4] {
    let [min, max] = statistics.range().map(|number| number.map(|number| number.to_string()));
    let [mean, std] = [statistics.mean(), statistics.std()].map(|number| number.map(rounded));
    [("min", min), ("max", max), ("mean", mean), ("std", std)]
        .map(|(name, word)| (name, word.unwrap_or_else(|| "none".to_owned())))
}

fn with_statistics(mut fields: Value, statistics: &Statistics) -> Value {
    let ([min, max], nan, inf) = (statistics.range(), &statistics.nan, &statistics.inf);
    let (mean, std) = (statistics.mean(), statistics.std());
    let more = json!({"min": min, "max": max, "mean": mean, "std": std, "nan": nan, "inf": inf});
    if let (Value::Object(fields), Value::Object(mut more)) = (&mut fields, more) {
        fields.append(&mut more);
    }
    fields
}

/// The count, and the index of the first one.
fn count(found: &Occurrences) -> String {
    match &found.first {
        None => "none".to_owned(),
        Some(first) if found.count == 1 => format!("1, at {first:?}"),
        Some(first) => format!("{}, the first at {first:?}", found.count),
    }
}
