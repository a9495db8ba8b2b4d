//! `rnn pack`: sequences of different lengths as PyTorch's `PackedSequence`.

use anyhow::{Context, Result};
use elman::files::{Bits, Sink, StoredType, TensorFile, is_standard_output};
use elman::{PackedSequence, pack_padded_sequence, pack_sequence};
use ndarray::{ArrayD, ArrayViewD, Axis};

use crate::args::{Pack, Side};
use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};
use crate::numbers::conversion_note;
use crate::pipeline::extent;
use crate::pipeline::input::{Input, check_stdin};
use crate::pipeline::output_path::{check_extension, refuse_terminal, shown};
use crate::pipeline::sequences::{Lengths, PaddedSizes, all_steps, read_lengths, unwanted_lengths};
use crate::pipeline::sequences::{
    PACKED, kept, read_bits, single_bits, whole_members, write_packed,
};
use crate::progress;
use crate::report::{Notes, Report, TensorLine};

const HELD: &str = "sequences and packed data are held whole";

pub(crate) fn pack(args: &Pack) -> Result<()> {
    check_extension(&args.output, "-o", true)?;
    let stdout = is_standard_output(&args.output);
    if stdout {
        refuse_terminal(|| hint::set("-o", "packed.npz"))?;
    }
    check_stdin([Some(&args.input), args.lengths.as_ref()])?;
    let (input, own) = Input::open(&args.input, Some(&args.table), args.lengths.is_none(), false)?;
    // The typed lengths win over those of the input.
    let lengths = args.lengths.as_deref().map(Lengths::Typed).or(own);
    let sink = Sink::open(&args.output, args.report.overwrite())?;
    let stored = common_type(&input)?;
    match stored.size() {
        ..=4 => pack_as::<u32>(args, (input, lengths), stored, sink, stdout),
        _ => pack_as::<u64>(args, (input, lengths), stored, sink, stdout),
    }
}

/// The type of the packed numbers: that of all sequences, or f32 if it holds all of their numbers.
fn common_type(input: &Input) -> Result<StoredType> {
    let tensors = input.tensors();
    let first = tensors.first().map_or(StoredType::F32, |(_, stored, _)| *stored);
    let Some((other, found, _)) = tensors.iter().find(|(_, stored, _)| *stored != first) else {
        return Ok(kept(first));
    };
    let is_wide = |stored: StoredType| stored.size() >= 4 && stored != StoredType::F32;
    let Some((place, wide, _)) = tensors.iter().find(|(_, stored, _)| is_wide(*stored)) else {
        return Ok(StoredType::F32);
    };
    let doubles = *wide == StoredType::F64;
    let (place, expected, found) = match () {
        () if doubles => (place, StoredType::F32, *wide),
        () => (other, first, *found),
    };
    let message = format!("{place}: expected {expected}, as other sequences are, got {found}");
    Err(with_hint(Data(message), hint::as_f64(input.place())))
}

fn pack_as<B: Bits>(
    args: &Pack,
    (input, lengths): (Input, Option<Lengths<'_>>),
    stored: StoredType,
    mut sink: Sink,
    stdout: bool,
) -> Result<()> {
    let mut notes = Notes::new(args.report.form());
    input.warn(&mut notes);
    for (place, own, _) in input.tensors() {
        if own != stored {
            notes.notes.extend(conversion_note::<f32>(&place, own));
        }
    }
    let bar = progress::transfer(extent::bytes::<B>(&input.shape()).saturating_mul(2));
    let packed = packed::<B>(args, (input, lengths), stored, &mut notes)?;
    let tensors = lines(&packed, stored, &shown(&args.output));
    write_packed(&mut sink, packed, stored)?;
    sink.commit()?;
    drop(bar);
    let report = Report { command: "pack", tensors, notes, ..Report::default() };
    report.print(stdout)
}

fn packed<B: Bits>(
    args: &Pack,
    (input, lengths): (Input, Option<Lengths<'_>>),
    stored: StoredType,
    notes: &mut Notes,
) -> Result<PackedSequence<B>> {
    let place = input.place().to_owned();
    match (input, lengths) {
        (Input::Packed(..), _) => {
            let message = format!("{place}: expected padded or single sequences, got a packed one");
            Err(Usage(message).into())
        }
        (Input::Ragged(mut bundle), None) => {
            let entries = bundle.entries();
            let bytes = extent::sum(entries.iter().map(|own| extent::bytes::<B>(&own.shape)));
            extent::announce(HELD, bytes.saturating_mul(2), notes);
            let own = (0..entries.len()).map(|index| read_bits(bundle.reader(index)?, stored));
            let own = own.collect::<Result<Vec<ArrayD<B>>, _>>()?;
            let views: Vec<ArrayViewD<'_, B>> = own.iter().map(|own| own.view()).collect();
            pack_sequence(&views, args.enforce_sorted).context(place)
        }
        (Input::Text(..) | Input::Grouped(..), _) => unreachable!("there are no flags for them"),
        (Input::Ragged(_), Some(_)) => Err(unwanted_lengths(&place)),
        (Input::Tensor(file), None) => {
            let message = format!("{place}: expected --lengths with a padded tensor, got none");
            let (steps, batch) = steps_and_batch(args, &file.header().shape).unwrap_or((0, 0));
            let all = all_steps(batch, steps).map(|all| hint::set("--lengths", all));
            Err(with_hint(Usage(message), all))
        }
        (Input::Tensor(file), Some(lengths)) => padded::<B>(args, file, lengths, stored, notes),
    }
}

fn padded<B: Bits>(
    args: &Pack,
    mut file: TensorFile,
    lengths: Lengths<'_>,
    stored: StoredType,
    notes: &mut Notes,
) -> Result<PackedSequence<B>> {
    let (shape, place) = (file.header().shape.clone(), file.place().to_owned());
    let (batch_first, sorted) = (args.batch_first, args.enforce_sorted);
    let Some((steps, batch)) = steps_and_batch(args, &shape) else {
        // The error names its shape.
        let all: ArrayD<B> = read_bits(file.reader()?, stored)?;
        return pack_padded_sequence(all.view(), &[], batch_first, false).context(place);
    };
    let lengths = read_lengths(lengths, &PaddedSizes { batch, steps, batch_first, batched: true })?;
    let rows = extent::sum(lengths.iter().copied());
    let left = args.padding_side == Side::Left;
    // Sequences with the padding on the left are copied one by one first.
    let copies = [steps * batch, rows, if left { rows } else { 0 }];
    let row = extent::bytes::<B>(&shape[2..]);
    let bytes = extent::sum(copies.iter().map(|rows| rows.saturating_mul(row)));
    extent::announce(HELD, bytes, notes);
    // The numbers of a table have a type when they are read.
    let is_table = file.header().stored == StoredType::Text;
    let padded: ArrayD<B> =
        if is_table { single_bits(&file.read()?) } else { read_bits(file.reader()?, stored)? };
    if !left {
        return pack_padded_sequence(padded.view(), &lengths, batch_first, sorted).context(place);
    }
    let own = |(row, &length): (usize, &usize)| {
        let sequence = padded.index_axis(Axis(usize::from(!batch_first)), row);
        sequence.slice_axis_move(Axis(0), (steps - length..steps).into())
    };
    let views: Vec<_> = lengths.iter().enumerate().map(own).collect();
    pack_sequence(&views, sorted).context(place)
}

/// L and N of a padded tensor, if it has both.
fn steps_and_batch(args: &Pack, shape: &[usize]) -> Option<(usize, usize)> {
    match (shape, args.batch_first) {
        (&[batch, steps, ..], true) | (&[steps, batch, ..], false) => Some((steps, batch)),
        _ => None,
    }
}

fn lines<T>(packed: &PackedSequence<T>, stored: StoredType, file: &str) -> Vec<TensorLine> {
    let line = |name: &str, shape: &[usize], dtype: String| {
        TensorLine::new(name, (shape, &[]), dtype, Some(file.to_owned()))
    };
    let data = line(PACKED[0], packed.data.shape(), stored.to_string());
    let whole = whole_members(packed).into_iter();
    let whole = whole.map(|(name, numbers)| line(name, numbers.shape(), "i64".to_owned()));
    std::iter::once(data).chain(whole).collect()
}
