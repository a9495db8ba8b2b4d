//! `rnn pack`: sequences of different lengths as PyTorch's `PackedSequence`.

use std::ffi::OsStr;

use anyhow::{Context, Result};
use elman::files::{Sink, TensorFile};
use elman::{Dtype, Element, PackedSequence, pack_padded_sequence, pack_sequence};
use ndarray::{ArrayD, ArrayViewD, Axis};

use crate::args::{Pack, Side};
use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};
use crate::numbers::{conversion_note, is_of_other_size};
use crate::pipeline::extent;
use crate::pipeline::input::{Input, check_stdin};
use crate::pipeline::output::{check_extension, refuse_terminal, shown};
use crate::pipeline::sequences::{self, PACKED, PaddedSizes, all_steps};
use crate::pipeline::sequences::{whole_members, write_packed};
use crate::report::{Notes, Report, TensorLine};

const HELD: &str = "sequences and packed data are held whole";

pub(crate) fn pack(args: &Pack) -> Result<()> {
    check_extension(&args.output, "-o", true)?;
    let stdout = args.output.as_os_str() == "-";
    if stdout {
        refuse_terminal(|| hint::set("-o", "packed.npz"))?;
    }
    check_stdin([Some(&args.input), args.lengths.as_ref()])?;
    let input = Input::open(&args.input, Some(&args.table), args.lengths.is_none())?;
    let sink = Sink::open(&args.output, args.report.overwrite())?;
    typed!(input.natural(), pack_as(args, input, sink, stdout))
}

fn pack_as<T: Element>(args: &Pack, input: Input, mut sink: Sink, stdout: bool) -> Result<()> {
    let mut notes = Notes::new(args.report.form());
    input.warn(&mut notes);
    for (place, stored, _) in input.tensors() {
        if is_of_other_size::<T>(stored) {
            let (dtype, found, file) = (T::DTYPE, stored, input.place());
            let message = format!("{place}: expected {dtype}, as other sequences are, got {found}");
            return Err(with_hint(Data(message), hint::as_f64(file)));
        }
        notes.notes.extend(conversion_note::<T>(&place, stored));
    }
    let packed = packed::<T>(args, input, &mut notes)?;
    write_packed(&mut sink, &packed)?;
    sink.commit()?;
    let report = Report {
        command: "pack",
        tensors: lines(&packed, T::DTYPE, &shown(&args.output)),
        notes,
        ..Report::default()
    };
    report.print(stdout)
}

fn packed<T: Element>(args: &Pack, input: Input, notes: &mut Notes) -> Result<PackedSequence<T>> {
    let place = input.place().to_owned();
    match (input, &args.lengths) {
        (Input::Packed(..), _) => {
            let message = format!("{place}: expected padded or single sequences, got a packed one");
            Err(Usage(message).into())
        }
        (Input::Ragged(mut bundle), None) => {
            let entries = bundle.entries();
            let bytes = extent::sum(entries.iter().map(|own| extent::bytes::<T>(&own.shape)));
            extent::announce(HELD, bytes.saturating_mul(2), notes);
            let own = (0..entries.len()).map(|index| bundle.read_as(index));
            let own = own.collect::<Result<Vec<ArrayD<T>>, _>>()?;
            let views: Vec<ArrayViewD<'_, T>> = own.iter().map(|own| own.view()).collect();
            pack_sequence(&views, args.enforce_sorted).context(place)
        }
        (Input::Ragged(_), Some(_)) => Err(sequences::unwanted_lengths(&place)),
        (Input::Tensor(file), None) => {
            let message = format!("{place}: expected --lengths with a padded tensor, got none");
            let (steps, batch) = steps_and_batch(args, &file.header().shape).unwrap_or((0, 0));
            let all = all_steps(batch, steps).map(|all| hint::set("--lengths", all));
            Err(with_hint(Usage(message), all))
        }
        (Input::Tensor(file), Some(text)) => padded::<T>(args, file, text, notes),
    }
}

fn padded<T: Element>(
    args: &Pack,
    file: TensorFile,
    text: &OsStr,
    notes: &mut Notes,
) -> Result<PackedSequence<T>> {
    let (shape, place) = (file.header().shape.clone(), file.place().to_owned());
    let (batch_first, sorted) = (args.batch_first, args.enforce_sorted);
    let Some((steps, batch)) = steps_and_batch(args, &shape) else {
        // The error names its shape.
        return pack_padded_sequence(file.read()?.view(), &[], batch_first, false).context(place);
    };
    let lengths =
        sequences::read_lengths(text, &PaddedSizes { batch, steps, batch_first, batched: true })?;
    let rows = extent::sum(lengths.iter().copied());
    let left = args.padding_side == Side::Left;
    // Sequences with the padding on the left are copied one by one first.
    let copies = [steps * batch, rows, if left { rows } else { 0 }];
    let row = extent::bytes::<T>(&shape[2..]);
    let bytes = extent::sum(copies.iter().map(|rows| rows.saturating_mul(row)));
    extent::announce(HELD, bytes, notes);
    let padded: ArrayD<T> = file.read()?;
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

fn lines<T>(packed: &PackedSequence<T>, dtype: Dtype, file: &str) -> Vec<TensorLine> {
    let line = |name: &str, shape: &[usize], dtype: String| {
        TensorLine::new(name, (shape, &[]), dtype, Some(file.to_owned()))
    };
    let data = line(PACKED[0], packed.data.shape(), dtype.to_string());
    let whole = whole_members(packed).into_iter();
    let whole = whole.map(|(name, numbers)| line(name, numbers.shape(), "i64".to_owned()));
    std::iter::once(data).chain(whole).collect()
}
