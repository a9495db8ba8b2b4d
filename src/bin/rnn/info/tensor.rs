//! A single tensor, or the state of a generator, which is stored as one.

use anyhow::Result;
use elman::files::{Header, StoredType, TensorFile};
use elman::{Generator, STATE_BYTES};
use serde_json::{Value, json};

use crate::args::Info;
use crate::report::Notes;

use super::description::{Description, merged, pairs};
use super::facts::{Facts, count, values_json};
use super::pieces::Piece;

pub(super) fn describe(mut file: TensorFile, args: &Info) -> Result<Description> {
    let (place, format) = (file.place().to_owned(), file.format().to_owned());
    let header = file.header();
    let maybe_state = header.stored == StoredType::U8 && header.shape == [STATE_BYTES];
    let mut bytes = Vec::new();
    let facts = Facts::gather(&place, file.reader()?, args.values, |piece| {
        if let (true, Piece::Integers(numbers)) = (maybe_state, piece) {
            bytes.extend(numbers.iter().filter_map(|&number| u8::try_from(number).ok()));
        }
    })?;
    let mut notes = Notes::default();
    if maybe_state {
        match Generator::from_state(&bytes) {
            Ok(generator) => return Ok(of_generator(&generator, &place, &format, &facts)),
            Err(error) => notes.note(format!("no {error}")),
        }
    }
    note_others(&facts, &mut notes);
    let description =
        Description::new(&place, "tensor", &format, lines(&facts), json_fields(&facts));
    Ok(description.with_notes(notes))
}

fn lines(facts: &Facts) -> Vec<String> {
    let Header { shape, stored, .. } = &facts.header;
    let numbers = facts.header.count();
    let s = if numbers == 1 { "" } else { "s" };
    let is_text = *stored == StoredType::Text;
    let bytes =
        byte_order(&facts.header).map_or(String::new(), |order| format!("{order}-endian, "));
    let mut rows = vec![
        ("shape", format!("{shape:?}, {numbers} number{s}")),
        ("dtype", format!("{stored}, {bytes}{} order", order(&facts.header))),
    ];
    if is_text {
        rows[1].1 = format!("{stored}, shown as f64");
    }
    rows.extend(facts.words());
    rows.push(("NaN", count(&facts.statistics.nan)));
    rows.push(("inf", count(&facts.statistics.inf)));
    pairs(&rows).into_iter().chain(facts.values.clone()).collect()
}

fn json_fields(facts: &Facts) -> Value {
    let Header { shape, stored, .. } = &facts.header;
    let object = json!({
        "shape": shape,
        "dtype": stored.to_string(),
        "order": order(&facts.header),
        "byte_order": byte_order(&facts.header),
    });
    merged(object, facts.statistics_json())
}

fn order(header: &Header) -> &'static str {
    if header.fortran_order { "Fortran" } else { "C" }
}

/// `None` for single bytes and texts.
fn byte_order(header: &Header) -> Option<&'static str> {
    let order = if header.big_endian { "big" } else { "little" };
    (header.stored.size() > 1 && header.stored != StoredType::Text).then_some(order)
}

/// Notes the numbers that the statistics are of, if these are not all.
fn note_others(facts: &Facts, notes: &mut Notes) {
    let finite = facts.statistics.finite;
    if finite < facts.header.count() && finite > 0 {
        let s = if finite == 1 { "" } else { "s" };
        notes.note(format!("min, max, mean and std are of the {finite} finite number{s}"));
    }
}

fn of_generator(generator: &Generator, place: &str, format: &str, facts: &Facts) -> Description {
    let (seed, position, block) = (generator.seed(), generator.position(), Generator::BLOCK_WORDS);
    let kept = if generator.keeps_normal() { "one" } else { "none" };
    let lines = pairs(&[
        ("seed", seed.to_string()),
        ("position", format!("{position} of a block of {block} words")),
        ("kept", format!("{kept} of a pair of normal samples")),
    ]);
    let object = json!({
        "seed": seed,
        "position": position,
        "block": block,
        "keeps_normal": generator.keeps_normal(),
    });
    let lines = lines.into_iter().chain(facts.values.clone()).collect();
    let object = merged(object, values_json(facts.values.as_deref()));
    Description::new(place, "generator state", &format, lines, object)
}
