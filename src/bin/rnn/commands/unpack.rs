//! `rnn unpack`: a `PackedSequence` as a padded tensor and lengths, or as single sequences.

use std::path::Path;

use anyhow::{Context, Result};
use elman::files::{
    AnyArray, Bits, Number, Pending, Sink, StoredArray, StoredType, commit_all, is_standard_output,
    write_npy, write_npz,
};
use elman::{PackedSequence, PaddingSide, pad_packed_sequence, pad_sequence, unpack_sequence};
use ndarray::{ArrayD, ArrayViewD, Axis};

use crate::args::{Side, Unpack};
use crate::explain::hint;
use crate::failure::{Data, Usage, with_hint};
use crate::numbers::conversion_note;
use crate::pipeline::extent;
use crate::pipeline::input::Input;
use crate::pipeline::output_path::{
    check_extension, is_same, refuse_terminal, shown, with_extension,
};
use crate::pipeline::sequences::{check_total, int64, kept, read_bits, read_index, with_data};
use crate::progress;
use crate::report::{Notes, Report, TensorLine};

pub(crate) fn unpack(args: &Unpack) -> Result<()> {
    let single = is_single(args);
    check_extension(&args.output, "-o", single)?;
    if single {
        refuse_padding(args)?;
    }
    if let Some(lengths) = &args.lengths {
        check_extension(lengths, "--lengths", false)?;
        if *lengths == args.output || is_same(lengths, &args.output) {
            let message = format!("expected two files, got {} for both", shown(lengths));
            return Err(with_hint(Usage(message), hint::set("--lengths", "lengths.npy")));
        }
    }
    let padded = is_standard_output(&args.output);
    let stdout = padded || args.lengths.as_deref().is_some_and(is_standard_output);
    if stdout {
        let lengths = || hint::set("--lengths", "lengths.npy");
        refuse_terminal(|| if padded { hint::set("-o", "padded.npy") } else { lengths() })?;
    }
    let (input, _) = Input::open(&args.input, None, false, false)?;
    let stored = input.tensors().first().map_or(StoredType::F32, |(_, stored, _)| kept(*stored));
    match stored.size() {
        ..=4 => unpack_as::<u32>(args, input, stored, stdout),
        _ => unpack_as::<u64>(args, input, stored, stdout),
    }
}

/// Whether the output is an archive of single sequences.
fn is_single(args: &Unpack) -> bool {
    args.output.extension().is_some_and(|extension| extension == "npz")
}

/// Refuses the flags of a padded tensor for an archive of single sequences.
fn refuse_padding(args: &Unpack) -> Result<()> {
    let flags = [
        ("--batch-first", args.batch_first),
        ("--padding-value", args.padding_value.is_some()),
        ("--padding-side", args.padding_side.is_some()),
        ("--total-length", args.total_length.is_some()),
    ];
    let given: Vec<_> = flags.iter().filter(|(_, given)| *given).map(|(flag, _)| *flag).collect();
    if given.is_empty() {
        return Ok(());
    }
    let (place, flags) = (shown(&args.output), given.join(" and "));
    let message = format!("{place}: expected .npy or - for a padded tensor ({flags}), got .npz");
    Err(with_hint(Usage(message), with_extension(&args.output, "-o", "npy")))
}

fn unpack_as<B: Bits>(args: &Unpack, input: Input, stored: StoredType, stdout: bool) -> Result<()> {
    let place = input.place().to_owned();
    let Input::Packed(mut bundle, data) = input else {
        let message = format!("{place}: expected a packed sequence (data, batch_sizes), got none");
        return Err(Data(message).into());
    };
    let mut notes = Notes::new(args.report.form());
    let entry = &bundle.entries()[data];
    if entry.stored != stored {
        notes.notes.extend(conversion_note::<f32>(&format!("{place}:data"), entry.stored));
    }
    let shape = entry.shape.clone();
    let padding = padding(args, stored)?;
    let open = |path: &Path| Sink::open(path, args.report.overwrite());
    let sinks = (open(&args.output)?, args.lengths.as_deref().map(open).transpose()?);
    let index = read_index(&mut bundle)?;
    let sizes = (index.batch_sizes.len(), index.batch());
    let bytes = held_bytes::<B>(args, &shape, sizes);
    let words = "packed data and sequences are held whole";
    extent::announce(words, bytes, &mut notes);
    let bar = progress::transfer(bytes);
    let packed = with_data(index, read_bits::<B>(bundle.reader(data)?, stored)?);
    check_total(&packed.lengths()?, args.total_length)?;
    let tensors = write(args, &packed, (stored, padding), &place, sinks)?;
    drop(bar);
    let report = Report { command: "unpack", tensors, notes, ..Report::default() };
    report.print(stdout)
}

/// The bits of the padding value.
fn padding<B: Bits>(args: &Unpack, stored: StoredType) -> Result<B> {
    let value = args.padding_value.unwrap_or(0.0);
    let bits = stored.bits_of(Number::F64(value)).ok_or_else(|| {
        Data(format!("--padding-value: expected a number that {stored} holds, got {value}"))
    })?;
    Ok(B::of(bits))
}

/// Writes the outputs, whose numbers have this type, and returns their lines of the report.
fn write<B: Bits>(
    args: &Unpack,
    packed: &PackedSequence<B>,
    (stored, padding): (StoredType, B),
    place: &str,
    (mut sink, mut lengths_sink): (Sink, Option<Sink>),
) -> Result<Vec<TensorLine>> {
    let line = |name: &str, shape: &[usize], path: &Path| {
        TensorLine::new(name, (shape, &[]), stored.to_string(), Some(shown(path)))
    };
    let mut tensors = Vec::new();
    if is_single(args) {
        let own = unpack_sequence(packed)?.into_iter();
        let own: Vec<_> = own.map(|bits| StoredArray { stored, bits }).collect();
        let names: Vec<_> = (0..own.len()).map(|row| row.to_string()).collect();
        let mut all: Vec<(&str, &dyn AnyArray)> = Vec::new();
        for (name, own) in names.iter().zip(&own) {
            tensors.push(line(name, own.bits.shape(), &args.output));
            all.push((name, own));
        }
        write_npz(&mut sink, &all, "")?;
    } else {
        let bits = padded(args, packed, padding).with_context(|| place.to_owned())?;
        tensors.push(line("padded", bits.shape(), &args.output));
        let padded = StoredArray { stored, bits };
        sink.write(|file| padded.write(file))?;
    }
    if let (Some(sink), Some(path)) = (&mut lengths_sink, &args.lengths) {
        let lengths = int64(&packed.lengths()?);
        let own = line("lengths", lengths.shape(), path);
        tensors.push(TensorLine { dtype: "i64".to_owned(), ..own });
        sink.write(|file| write_npy(file, &lengths.view()))?;
    }
    commit_all(lengths_sink.into_iter().chain([sink]).map(Pending::from))?;
    Ok(tensors)
}

/// Bytes that are in memory at one time.
fn held_bytes<T>(args: &Unpack, data: &[usize], (steps, batch): (usize, usize)) -> usize {
    let [rows, features @ ..] = data else { return 0 };
    let row = extent::bytes::<T>(features);
    let total = args.total_length.unwrap_or(steps);
    // With the padding on the left, single sequences come first, and one of padding alone is among them.
    let held = match args.padding_side {
        _ if is_single(args) => [*rows, *rows, 0],
        Some(Side::Left) => [*rows, rows.saturating_add(total), total.saturating_mul(batch + 1)],
        _ => [*rows, 0, total.saturating_mul(batch)],
    };
    extent::sum(held.iter().map(|rows| rows.saturating_mul(row)))
}

/// The padded tensor. With the padding on the left, sequences end together.
fn padded<B: Bits>(args: &Unpack, packed: &PackedSequence<B>, padding: B) -> Result<ArrayD<B>> {
    // The side does not matter without sequences.
    if args.padding_side != Some(Side::Left) || packed.batch() == 0 {
        return Ok(pad_packed_sequence(packed, args.batch_first, padding, args.total_length)?.0);
    }
    let own = unpack_sequence(packed)?;
    let mut views: Vec<ArrayViewD<'_, B>> = own.iter().map(|own| own.view()).collect();
    // A sequence of padding alone, as long as the result, which is removed again. It has been checked that no other is longer.
    let mut longest = packed.data.shape().to_vec();
    longest[0] = args.total_length.unwrap_or(packed.batch_sizes.len());
    let longest = ArrayD::from_elem(longest, padding);
    views.push(longest.view());
    let mut padded = pad_sequence(&views, args.batch_first, padding, PaddingSide::Left)?;
    padded.slice_axis_inplace(Axis(usize::from(!args.batch_first)), (..own.len()).into());
    Ok(padded)
}
