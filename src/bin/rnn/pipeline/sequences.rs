//! Sequences of their own lengths: `--lengths`, the number of steps of each sequence of a batch, and packed sequences
//! in archives, under PyTorch's names.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result};
use elman::files::{
    Accepts, AnyArray, Bits, Bundle, FileError, Header, Sink, Source, StoredArray, StoredType,
    TensorReader, open, write_npz,
};
use elman::{Element, PackedSequence};
use ndarray::{Array1, ArrayD};

use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};

/// Most sequences of a batch for which a hint writes the lengths out.
const MAX_WRITTEN: usize = 16;

/// Sizes of the padded tensor that the lengths belong to.
pub(crate) struct PaddedSizes {
    pub(crate) batch: usize,
    pub(crate) steps: usize,
    pub(crate) batch_first: bool,
    /// Whether an axis of its own holds the batch.
    pub(crate) batched: bool,
}

/// The lengths of a padded input.
#[derive(Clone)]
pub(crate) enum Lengths<'a> {
    /// `5,3,2`, or a tensor of whole numbers; a path that exists wins.
    Typed(&'a OsStr),
    /// Those that the archive of the input holds, and their place.
    Own(String, Vec<f64>),
}

/// Reads one length for each sequence, from 0 to L.
pub(crate) fn read_lengths(lengths: Lengths<'_>, of: &PaddedSizes) -> Result<Vec<usize>> {
    let (place, values) = match lengths {
        Lengths::Own(place, values) => (place, values),
        Lengths::Typed(text) => match list(text, of)? {
            Some(values) => ("--lengths".to_owned(), values),
            None => read_file(text)?,
        },
    };
    check(&place, &values, of)
}

/// Checks lengths: one for each sequence, from 0 to L. `place` names them in errors.
pub(crate) fn check(place: &str, values: &[f64], of: &PaddedSizes) -> Result<Vec<usize>> {
    if values.len() != of.batch {
        let word = if of.batch == 1 { "length" } else { "lengths" };
        let message = format!(
            "{place}: expected {} {word}, one for each sequence of the batch, got {}",
            of.batch,
            values.len()
        );
        return Err(with_hint(Data(message), swapped_hint(values, of)));
    }
    let length = |(row, &value): (usize, &f64)| {
        if let Some(length) = whole_number(value).filter(|&length| length <= of.steps) {
            return Ok(length);
        }
        let message = format!(
            "{place}: row {row}: expected a whole number from 0 to {}, the steps of the input, got {}",
            of.steps,
            shown(value)
        );
        Err(Data(message).into())
    };
    values.iter().enumerate().map(length).collect()
}

/// Refuses a `--total-length` that is shorter than a sequence.
pub(crate) fn check_total(lengths: &[usize], total: Option<usize>) -> Result<()> {
    // The message names the first of the longest sequences.
    let longest = lengths.iter().enumerate().rev().max_by_key(|(_, length)| **length);
    let (Some(total), Some((row, &longest))) = (total, longest) else { return Ok(()) };
    if total >= longest {
        return Ok(());
    }
    let message = format!(
        "--total-length: expected at least {longest}, the length of row {row}, got {total}"
    );
    Err(with_hint(Data(message), hint::set("--total-length", longest.to_string())))
}

/// The lengths of sequences that have all steps, as they are typed; `None` if they are too many.
pub(crate) fn all_steps(batch: usize, steps: usize) -> Option<String> {
    let text = || vec![steps.to_string(); batch].join(",");
    (1..=MAX_WRITTEN).contains(&batch).then(text)
}

/// The other order of the axes, if that axis has as many places as there are lengths.
fn swapped_hint(values: &[f64], of: &PaddedSizes) -> Option<String> {
    // The hint must not fail on the lengths.
    let fits = |&value: &f64| whole_number(value).is_some_and(|length| length <= of.batch);
    let swapped = of.batched && values.len() == of.steps && values.iter().all(fits);
    swapped.then(|| hint::other_axes(of.batch_first, of.steps, "one for each length"))
}

/// Numbers with commas between them; `None` if the text is the name of a file.
fn list(text: &OsStr, of: &PaddedSizes) -> Result<Option<Vec<f64>>> {
    let Some(typed) = text.to_str().filter(|_| !Path::new(text).exists()) else { return Ok(None) };
    let values = typed.split(',').map(|word| word.trim().parse().ok()).collect();
    if let Some(values) = values {
        return Ok(Some(values));
    }
    let extension = Path::new(text).extension().unwrap_or_default();
    let file = matches!(Source::parse(text), Source::Member(..))
        || extension == "npy"
        || extension == "npz";
    if file || !(typed.contains(',') || typed.starts_with(|c: char| c.is_ascii_digit() || c == '['))
    {
        return Ok(None);
    }
    let message =
        format!("--lengths: expected whole numbers as in 5,3,2, or a file, got '{typed}'");
    Err(with_hint(Usage(message), list_hint(typed, of)))
}

/// The same numbers with single commas between them, if they are the lengths of this batch.
fn list_hint(typed: &str, of: &PaddedSizes) -> String {
    let words = typed.split(|c: char| c.is_whitespace() || ",;[]()".contains(c));
    let numbers: Option<Vec<usize>> =
        words.filter(|word| !word.is_empty()).map(|word| word.parse().ok()).collect();
    let right =
        |own: &Vec<usize>| own.len() == of.batch && own.iter().all(|&length| length <= of.steps);
    let Some(numbers) = numbers.filter(right) else { return hint::help() };
    let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    hint::set("--lengths", numbers.join(","))
}

/// The numbers of a tensor of one axis, or of a table of one column or one row.
fn read_file(text: &OsStr) -> Result<(String, Vec<f64>)> {
    let file = open(&Source::parse(text), Accepts::Tensor)?.into_tensor()?;
    let place = file.place().to_owned();
    // A mask of the steps has one axis, and holds no lengths.
    refuse_bool(&place, file.header().stored)?;
    let Header { shape: found, stored, .. } = file.header();
    let single = *stored == StoredType::Text && found.contains(&1);
    if found.len() != 1 && !single {
        let message = format!("{place}: expected lengths in shape [batch], got shape {found:?}");
        return Err(Data(message).into());
    }
    Ok((place, file.read::<f64>()?.iter().copied().collect()))
}

/// The error of `--lengths` beside an archive.
pub(crate) fn unwanted_lengths(place: &str) -> anyhow::Error {
    let found = "sequences that have their own";
    let message = format!("{place}: expected a padded tensor with --lengths, got {found}");
    with_hint(Usage(message), hint::without(&["--lengths"]))
}

/// The tensors of PyTorch's `PackedSequence`.
pub(crate) const PACKED: [&str; 4] = ["data", "batch_sizes", "sorted_indices", "unsorted_indices"];

/// Reads batch sizes and indices, and checks them against the header of the data.
pub(crate) fn read_index(bundle: &mut Bundle) -> Result<PackedSequence<()>> {
    let mut whole = |name: &str| {
        let Some(index) = bundle.position(name) else { return Ok(None) };
        let place = bundle.entry_place(index);
        refuse_bool(&place, bundle.entries()[index].stored)?;
        let numbers = bundle.read_as::<f64>(index).map_err(explain_none)?;
        whole_numbers(&place, &numbers).map(Some)
    };
    let [batch_sizes, sorted, unsorted] = [whole(PACKED[1])?, whole(PACKED[2])?, whole(PACKED[3])?];
    // Values without a size: the shape is checked before the data is read.
    let data = &bundle.entries()[bundle.position(PACKED[0]).unwrap_or(0)];
    let rows = ArrayD::from_elem(data.shape.as_slice(), ());
    let batch_sizes = batch_sizes.unwrap_or_default();
    let index = PackedSequence::new(rows, batch_sizes, sorted, unsorted);
    index.with_context(|| bundle.place().to_owned())
}

/// Reads the data that belongs to batch sizes and indices.
pub(crate) fn read_data<T: Element>(
    bundle: &mut Bundle,
    index: PackedSequence<()>,
) -> Result<PackedSequence<T>, FileError> {
    let data = bundle.read_as(bundle.position(PACKED[0]).unwrap_or(0))?;
    Ok(with_data(index, data))
}

/// The data that belongs to batch sizes and indices.
pub(crate) fn with_data<T>(index: PackedSequence<()>, data: ArrayD<T>) -> PackedSequence<T> {
    let PackedSequence { batch_sizes, sorted_indices, unsorted_indices, .. } = index;
    PackedSequence { data, batch_sizes, sorted_indices, unsorted_indices }
}

/// The whole numbers of a packed sequence with their names; indices that it does not have are left out.
pub(crate) fn whole_members<T>(packed: &PackedSequence<T>) -> Vec<(&'static str, ArrayD<i64>)> {
    let mut members = vec![(PACKED[1], int64(&packed.batch_sizes))];
    if let (Some(sorted), Some(unsorted)) = (&packed.sorted_indices, &packed.unsorted_indices) {
        members.push((PACKED[2], int64(sorted)));
        members.push((PACKED[3], int64(unsorted)));
    }
    members
}

/// The type in which numbers are moved from one file to another: their own, or f32 for those that .npy cannot hold.
pub(crate) fn kept(stored: StoredType) -> StoredType {
    match stored {
        StoredType::Text | StoredType::BF16 => StoredType::F32,
        stored => stored,
    }
}

/// Reads the bits of a tensor's numbers, which stay what they are or become f32.
pub(crate) fn read_bits<B: Bits>(
    reader: TensorReader<'_>,
    kept: StoredType,
) -> Result<ArrayD<B>, FileError> {
    if reader.header().stored == kept {
        reader.read_bits()
    } else {
        Ok(single_bits(&reader.read()?))
    }
}

/// The bits of singles.
pub(crate) fn single_bits<B: Bits>(numbers: &ArrayD<f32>) -> ArrayD<B> {
    numbers.map(|number| B::of(number.to_bits().into()))
}

/// Writes a packed sequence, whose numbers have this type, under PyTorch's names.
pub(crate) fn write_packed<B: Bits>(
    sink: &mut Sink,
    packed: PackedSequence<B>,
    stored: StoredType,
) -> Result<()> {
    let whole = whole_members(&packed);
    let data = StoredArray { stored, bits: packed.data };
    let mut members: Vec<(&str, &dyn AnyArray)> = vec![(PACKED[0], &data)];
    for (name, numbers) in &whole {
        members.push((name, numbers));
    }
    Ok(write_npz(sink, &members, "")?)
}

/// Sizes or indices as NumPy's int64. No vector has more elements than fit.
pub(crate) fn int64(numbers: &[usize]) -> ArrayD<i64> {
    let numbers = numbers.iter().map(|&number| i64::try_from(number).unwrap_or(i64::MAX));
    numbers.collect::<Array1<_>>().into_dyn()
}

/// Explains indices that are None, which NumPy saves as an object that is not unpickled.
fn explain_none(error: FileError) -> anyhow::Error {
    let FileError::Malformed { place, what } = &error else { return error.into() };
    let file = PACKED[2..].iter().find_map(|name| place.strip_suffix(name)?.strip_suffix(':'));
    let Some(file) = file.filter(|_| what.starts_with("dtype '|O'")) else { return error.into() };
    let message = format!(
        "{place}: expected whole numbers, or no such member, got an object, as NumPy saves None"
    );
    with_hint(Data(message), hint::without_none(file))
}

/// Sizes or indices, which a file may hold as numbers of any type.
pub(crate) fn whole_numbers(place: &str, numbers: &ArrayD<f64>) -> Result<Vec<usize>> {
    if numbers.ndim() != 1 {
        let message = format!("{place}: expected one axis, got shape {:?}", numbers.shape());
        return Err(Data(message).into());
    }
    let number = |(index, &value): (usize, &f64)| {
        whole_number(value).ok_or_else(|| {
            let message =
                format!("{place}: expected whole numbers, got {} at [{index}]", shown(value));
            Data(message).into()
        })
    };
    numbers.iter().enumerate().map(number).collect()
}

/// The largest number below which a double holds every whole number exactly. No size in memory is larger.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A size or an index.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
pub(crate) fn whole_number(value: f64) -> Option<usize> {
    ((0.0..=MAX_WHOLE).contains(&value) && value.fract() == 0.0).then_some(value as usize)
}

/// A number for messages: only digits that are exact.
pub(crate) fn shown(value: f64) -> String {
    if value.is_infinite() || value.abs() < MAX_WHOLE || value.is_nan() {
        return value.to_string();
    }
    if value > 0.0 { format!("{MAX_WHOLE} or more") } else { format!("-{MAX_WHOLE} or less") }
}

/// Refuses truth values where sizes, indices or lengths are expected.
pub(crate) fn refuse_bool(place: &str, stored: StoredType) -> Result<()> {
    if stored != StoredType::Bool {
        return Ok(());
    }
    Err(Data(format!("{place}: expected whole numbers, got bool")).into())
}
