//! What goes through the layer, in the forms that people have it: a tensor, a packed sequence, or several
//! sequences of their own lengths.

use anyhow::{Context, Result};
use elman::files::{Dtype, Found, Header, Members, Real, Source, StoredType, TensorFile};
use elman::{Error, PackedSequence};
use ndarray::ArrayD;

use crate::args::ColumnList;
use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};
use crate::pipeline::held;
use crate::report::Notes;

/// The tensors of PyTorch's `PackedSequence`.
pub(crate) const PACKED: [&str; 4] = ["data", "batch_sizes", "sorted_indices", "unsorted_indices"];

/// Numbers that a warning lists at most.
const MAX_LISTED: usize = 5;

/// The input of a run, of which the headers are known.
pub(crate) enum Sequences {
    /// A tensor.
    Tensor(TensorFile),
    /// [`PACKED`], the last two where there are any; `data` is the tensor of this header.
    Packed(Members, Header),
    /// Tensors of (`L_i`, `H_in`), each under its own name.
    Ragged(Members, Vec<Header>),
}

impl Sequences {
    /// Opens an input, of a table the columns that were chosen. An archive with `data` and `batch_sizes` in
    /// it is packed; one member alone is that tensor; several of two axes and one width are sequences.
    pub(crate) fn open(source: &Source, columns: &[ColumnList]) -> Result<Self> {
        let columns: Vec<_> = columns.iter().flat_map(|list| list.0.clone()).collect();
        let found = Found::open_columns(source, &columns)?;
        let is_table = matches!(&found, Found::Tensor(file) if is_table(file));
        if !columns.is_empty() && !is_table {
            let message = format!("{}: expected a table with --columns, got none", found.place());
            return Err(with_hint(Usage(message), hint::without(&["--columns"])));
        }
        let mut members = match found {
            Found::Tensor(file) => return Ok(Sequences::Tensor(file)),
            Found::Members(members) => members,
        };
        let names = members.names().to_vec();
        if PACKED[..2].iter().all(|own| names.iter().any(|name| name == own)) {
            if names.iter().any(|name| !PACKED.contains(&name.as_str())) {
                return Err(members.expected(&format!("only {}", PACKED.join(", "))).into());
            }
            let data = members.header(position(&members, "data").unwrap_or(0))?;
            return Ok(Sequences::Packed(members, data));
        }
        let headers = (0..names.len()).map(|index| members.header(index));
        let headers = headers.collect::<Result<Vec<_>, _>>()?;
        let width = headers.first().and_then(|header| header.shape.last());
        if headers.iter().any(|header| header.shape.len() != 2 || header.shape.last() != width) {
            let expected = "one member, a packed sequence (data, batch_sizes), or sequences \
                            (seq_len, input_size) of one input_size";
            return Err(members.expected(expected).into());
        }
        Ok(Sequences::Ragged(members, headers))
    }

    /// An archive of one tensor with two axes as what it is too, a batch of one sequence; anything else as it
    /// is. A member that the source names stays a tensor.
    pub(crate) fn of_one(self, source: &Source) -> Self {
        match self {
            Sequences::Tensor(file)
                if file.header().shape.len() == 2 && !matches!(source, Source::Member(..)) =>
            {
                match file.into_members() {
                    Ok((members, header)) => Sequences::Ragged(members, vec![header]),
                    Err(file) => Sequences::Tensor(file),
                }
            }
            other => other,
        }
    }

    /// The name of the place, for messages.
    pub(crate) fn place(&self) -> &str {
        match self {
            Sequences::Tensor(file) => file.place(),
            Sequences::Packed(members, _) | Sequences::Ragged(members, _) => members.place(),
        }
    }

    /// The header of each tensor with numbers for the layer, its place, and what it was recognised as.
    pub(crate) fn headers(&self) -> Vec<(String, &Header, String)> {
        let member = |place, header| (place, header, "member of an .npz".to_owned());
        match self {
            Sequences::Tensor(file) => {
                vec![(file.place().to_owned(), file.header(), file.recognised())]
            }
            Sequences::Packed(members, header) => {
                vec![member(format!("{}:data", members.place()), header)]
            }
            Sequences::Ragged(members, headers) => {
                let places = (0..headers.len()).map(|index| members.member_place(index));
                places.zip(headers).map(|(place, header)| member(place, header)).collect()
            }
        }
    }

    /// Warns of a line of names that may have been meant as numbers: its row is missing then.
    pub(crate) fn warn(&self, notes: &mut Notes) {
        let Sequences::Tensor(file) = self else { return };
        let numbers = file.column_names().iter().filter(|name| name.parse::<f64>().is_ok());
        let numbers: Vec<_> = numbers.map(String::as_str).take(MAX_LISTED).collect();
        if !numbers.is_empty() {
            notes.warn(format!(
                "{}: the first line is taken for names of columns, with numbers among them: {}",
                file.place(),
                numbers.join(", ")
            ));
        }
    }

    /// The type that it is computed in where nobody asks for another: f64 where all of it is.
    pub(crate) fn natural(&self) -> Dtype {
        let all = self.headers().iter().all(|(_, header, _)| header.stored.natural() == Dtype::F64);
        if all { Dtype::F64 } else { Dtype::F32 }
    }

    /// The shape of the input: of a tensor its own, else (rows of all sequences, `H_in`).
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Sequences::Tensor(file) => file.header().shape.clone(),
            Sequences::Packed(_, header) => header.shape.clone(),
            Sequences::Ragged(_, headers) => {
                let rows = held::sum(headers.iter().map(|header| header.shape[0]));
                vec![rows, headers.first().map_or(0, |header| header.shape[1])]
            }
        }
    }

    /// Whether it is a packed sequence.
    pub(crate) fn is_packed(&self) -> bool {
        matches!(self, Sequences::Packed(..))
    }

    /// Whether what comes out is an archive, as this is one.
    pub(crate) fn is_archive(&self) -> bool {
        !matches!(self, Sequences::Tensor(_))
    }
}

/// Whether a tensor was read from text.
pub(crate) fn is_table(file: &TensorFile) -> bool {
    file.header().stored == StoredType::Text
}

/// Reads a packed sequence. `sizes` hears of L and N, as far as they can be believed, before the data is
/// read.
pub(crate) fn read_packed<T: Real>(
    mut members: Members,
    sizes: impl FnOnce(usize, usize),
) -> Result<PackedSequence<T>> {
    let mut whole = |name: &str| {
        let Some(index) = position(&members, name) else { return Ok(None) };
        let place = members.member_place(index);
        let header = members.header(index).map_err(|error| explain_none(error, name, &place))?;
        refuse_bool(&place, header.stored)?;
        whole_numbers(&place, &members.read::<f64>(index)?).map(Some)
    };
    let [batch_sizes, sorted, unsorted] = [whole(PACKED[1])?, whole(PACKED[2])?, whole(PACKED[3])?];
    let batch_sizes = batch_sizes.unwrap_or_default();
    let indices = sorted.as_ref().or(unsorted.as_ref()).map(Vec::len);
    let active = batch_sizes.first().copied().unwrap_or(0);
    sizes(batch_sizes.len(), indices.unwrap_or(active));
    let data = members.read(position(&members, PACKED[0]).unwrap_or(0))?;
    let place = members.place().to_owned();
    PackedSequence::new(data, batch_sizes, sorted, unsorted).context(place)
}

/// NumPy saves the None of indices that are not there as an object, which is not unpickled to see what it is.
fn explain_none(error: Error, name: &str, place: &str) -> anyhow::Error {
    let object = |what: &str| what.starts_with("dtype '|O'");
    let is_object = matches!(&error, Error::Malformed { what, .. } if object(what));
    if !is_object || !PACKED[2..].contains(&name) {
        return error.into();
    }
    let message = format!(
        "{place}: expected whole numbers, or no such member, got an object, as NumPy saves None"
    );
    let file = place.strip_suffix(name).unwrap_or_default().trim_end_matches(':');
    with_hint(Data(message), hint::without_none(file))
}

/// Reads several sequences, with their names.
pub(crate) fn read_ragged<T: Real>(mut members: Members) -> Result<Vec<(String, ArrayD<T>)>> {
    let names = members.names().to_vec().into_iter().enumerate();
    names.map(|(index, name)| Ok((name, members.read(index)?))).collect()
}

fn position(members: &Members, name: &str) -> Option<usize> {
    members.names().iter().position(|own| own == name)
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

/// Up to here a double holds every whole number exactly; no memory has room for so many of anything.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// A size or an index.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
pub(crate) fn whole_number(value: f64) -> Option<usize> {
    ((0.0..=MAX_WHOLE).contains(&value) && value.fract() == 0.0).then_some(value as usize)
}

/// A number as messages show it: no digit that may be another one in the file.
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
