//! The input of a run, in each of its forms: a tensor, a packed sequence, or sequences of their own lengths.

use anyhow::Result;
use elman::Dtype;
use elman::files::{Found, Header, Members, Source, StoredType, TensorFile};

use super::held;
use super::packed::{PACKED, position};
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::report::Notes;

/// Numbers that a warning lists at most.
const MAX_LISTED: usize = 5;

/// The input of a run, whose headers have been read.
pub(crate) enum Input {
    /// A tensor.
    Tensor(TensorFile),
    /// [`PACKED`], of which the last two are optional, and the header of `data`.
    Packed(Members, Header),
    /// Tensors of (`L_i`, `H_in`), each under its own name.
    Ragged(Members, Vec<Header>),
}

impl Input {
    /// Opens an input, or the chosen columns of a table. An archive with `data` and `batch_sizes` in it is packed; one member alone is that tensor; several of two axes and one width are sequences.
    pub(crate) fn open(source: &Source, columns: &[String]) -> Result<Self> {
        let found = Found::open_columns(source, columns)?;
        let is_table = matches!(&found, Found::Tensor(file) if is_table(file));
        if !columns.is_empty() && !is_table {
            let message = format!("{}: expected a table with --columns, got none", found.place());
            return Err(with_hint(Usage(message), hint::without(&["--columns"])));
        }
        let mut members = match found {
            Found::Tensor(file) => return Ok(Input::Tensor(file)),
            Found::Members(members) => members,
        };
        let names = members.names().to_vec();
        if PACKED[..2].iter().all(|own| names.iter().any(|name| name == own)) {
            if names.iter().any(|name| !PACKED.contains(&name.as_str())) {
                return Err(members.expected(&format!("only {}", PACKED.join(", "))).into());
            }
            let data = members.header(position(&members, "data").unwrap_or(0))?;
            return Ok(Input::Packed(members, data));
        }
        let headers = (0..names.len()).map(|index| members.header(index));
        let headers = headers.collect::<Result<Vec<_>, _>>()?;
        let width = headers.first().and_then(|header| header.shape.last());
        if headers.iter().any(|header| header.shape.len() != 2 || header.shape.last() != width) {
            let expected = "one member, a packed sequence (data, batch_sizes), or sequences \
                            (seq_len, input_size) of one input_size";
            return Err(members.expected(expected).into());
        }
        Ok(Input::Ragged(members, headers))
    }

    /// Takes an archive of one tensor with two axes for a batch of one sequence. A member that the source names
    /// stays a tensor.
    pub(crate) fn of_one(self, source: &Source) -> Self {
        match self {
            Input::Tensor(file)
                if file.header().shape.len() == 2 && !matches!(source, Source::Member(..)) =>
            {
                match file.into_members() {
                    Ok((members, header)) => Input::Ragged(members, vec![header]),
                    Err(file) => Input::Tensor(file),
                }
            }
            other => other,
        }
    }

    /// The name of the place, for messages.
    pub(crate) fn place(&self) -> &str {
        match self {
            Input::Tensor(file) => file.place(),
            Input::Packed(members, _) | Input::Ragged(members, _) => members.place(),
        }
    }

    /// The place of each tensor with numbers for the layer, its header, and its recognised format.
    pub(crate) fn headers(&self) -> Vec<(String, &Header, String)> {
        let member = |place, header| (place, header, "member of an .npz".to_owned());
        match self {
            Input::Tensor(file) => {
                vec![(file.place().to_owned(), file.header(), file.recognised())]
            }
            Input::Packed(members, header) => {
                vec![member(format!("{}:data", members.place()), header)]
            }
            Input::Ragged(members, headers) => {
                let places = (0..headers.len()).map(|index| members.member_place(index));
                places.zip(headers).map(|(place, header)| member(place, header)).collect()
            }
        }
    }

    /// Warns of a first line that was taken for names and may have been a row of numbers.
    pub(crate) fn warn(&self, notes: &mut Notes) {
        let Input::Tensor(file) = self else { return };
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

    /// The type that it is computed in by default: f64 if all of it is.
    pub(crate) fn natural(&self) -> Dtype {
        let all = self.headers().iter().all(|(_, header, _)| header.stored.natural() == Dtype::F64);
        if all { Dtype::F64 } else { Dtype::F32 }
    }

    /// The shape of the input: of a tensor its own, else (rows of all sequences, `H_in`).
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Input::Tensor(file) => file.header().shape.clone(),
            Input::Packed(_, header) => header.shape.clone(),
            Input::Ragged(_, headers) => {
                let rows = held::sum(headers.iter().map(|header| header.shape[0]));
                vec![rows, headers.first().map_or(0, |header| header.shape[1])]
            }
        }
    }

    /// Whether any part can be read at any time.
    pub(crate) fn is_file(&self) -> bool {
        match self {
            Input::Tensor(file) => file.is_file(),
            _ => true,
        }
    }

    /// Whether it is a packed sequence.
    pub(crate) fn is_packed(&self) -> bool {
        matches!(self, Input::Packed(..))
    }

    /// Whether the output is an archive, as this is one.
    pub(crate) fn is_archive(&self) -> bool {
        !matches!(self, Input::Tensor(_))
    }
}

/// Whether a tensor was read from text.
pub(crate) fn is_table(file: &TensorFile) -> bool {
    file.header().stored == StoredType::Text
}
