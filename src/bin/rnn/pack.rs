//! `rnn pack`: sequences of different lengths as PyTorch's `PackedSequence`.

use anyhow::{Context, Result};
use elman::io::{Dtype, Real, Sink, Source, StoredType};
use elman::{Element, PackedSequence, pack_padded_sequence, pack_sequence};
use ndarray::{ArrayD, ArrayViewD, Axis};

use crate::args::{Pack, Side};
use crate::failure::{Usage, with_hint};
use crate::hint::CommandLine;
use crate::lengths;
use crate::outputs::{check_extension, overwrite, refuse_terminal, shown, write_packed};
use crate::report::{Notes, Report, TensorLine};
use crate::sequences::{self, Sequences};

pub(crate) fn pack(args: &Pack) -> Result<()> {
    check_extension(&args.output, "-o", true)?;
    let stdout = args.output.as_os_str() == "-";
    if stdout {
        refuse_terminal("packed.npz")?;
    }
    if args.input == "-" && args.lengths.as_ref().is_some_and(|lengths| lengths == "-") {
        let message = "expected one tensor from stdin, got - for more than one".to_owned();
        return Err(Usage(message).into());
    }
    let input = Sequences::open(&Source::parse(&args.input), &args.columns)?;
    let sink = Sink::open(&args.output, overwrite(&args.report))?;
    match input.natural() {
        Dtype::F32 => pack_as::<f32>(args, input, sink, stdout),
        Dtype::F64 => pack_as::<f64>(args, input, sink, stdout),
    }
}

fn pack_as<T: Element + Real>(
    args: &Pack,
    input: Sequences,
    mut sink: Sink,
    stdout: bool,
) -> Result<()> {
    let mut notes = Notes::default();
    input.warn(&mut notes);
    for (place, header, _) in input.headers() {
        if header.stored == StoredType::Text {
            continue;
        }
        if !header.stored.is_computed() || header.stored.natural() != T::DTYPE {
            notes.note(format!("{place}: {} converted to {}", header.stored, T::DTYPE));
        }
    }
    let packed = packed::<T>(args, input)?;
    write_packed(&mut sink, &packed)?;
    sink.commit()?;
    let report = Report {
        command: "pack",
        layer: None,
        weights: None,
        seed: None,
        rng: None,
        tensors: lines(&packed, T::DTYPE, &shown(&args.output)),
        run: None,
        notes,
    };
    report.print(&args.report, stdout)
}

fn packed<T: Element + Real>(args: &Pack, input: Sequences) -> Result<PackedSequence<T>> {
    let line = CommandLine::new();
    let place = input.place().to_owned();
    match (input, &args.lengths) {
        (Sequences::Packed(..), _) => {
            let message = format!("{place}: expected padded or single sequences, got a packed one");
            Err(Usage(message).into())
        }
        (Sequences::Ragged(members, _), None) => {
            let own = sequences::read_ragged(members)?;
            let views: Vec<ArrayViewD<'_, T>> = own.iter().map(|(_, own)| own.view()).collect();
            pack_sequence(&views, args.enforce_sorted).context(place)
        }
        (Sequences::Ragged(..), Some(_)) => {
            let message = format!(
                "{place}: expected a padded tensor with --lengths, got sequences that have their own"
            );
            let hint = line.without("--lengths").to_string();
            Err(with_hint(Usage(message), Some(hint)))
        }
        (Sequences::Tensor(_), None) => {
            let message = format!("{place}: expected --lengths with a padded tensor, got none");
            Err(with_hint(Usage(message), Some(line.with("--lengths", Some("5,3,2")).to_string())))
        }
        (Sequences::Tensor(file), Some(text)) => {
            let padded: ArrayD<T> = file.read()?;
            let (steps, batch) = match (padded.shape(), args.batch_first) {
                (&[batch, steps, ..], true) | (&[steps, batch, ..], false) => (steps, batch),
                // Refused below, with its shape.
                _ => (usize::MAX, 0),
            };
            let lengths =
                if padded.ndim() < 2 { Vec::new() } else { lengths::read(text, batch, steps)? };
            if args.padding_side == Side::Right || padded.ndim() < 2 {
                let (padded, sorted) = (padded.view(), args.enforce_sorted);
                return pack_padded_sequence(padded, &lengths, args.batch_first, sorted)
                    .context(place);
            }
            let own = |(row, &length): (usize, &usize)| {
                let sequence = padded.index_axis(Axis(usize::from(!args.batch_first)), row);
                sequence.slice_axis_move(Axis(0), (steps - length..steps).into())
            };
            let views: Vec<_> = lengths.iter().enumerate().map(own).collect();
            pack_sequence(&views, args.enforce_sorted).context(place)
        }
    }
}

/// What the report says of a packed sequence.
fn lines<T>(packed: &PackedSequence<T>, dtype: Dtype, file: &str) -> Vec<TensorLine> {
    let line = |name: &str, shape: &[usize], dtype: String| TensorLine {
        name: name.to_owned(),
        shape: shape.to_vec(),
        axes: Vec::new(),
        dtype,
        file: Some(file.to_owned()),
    };
    let whole = |name: &str, numbers: &[usize]| line(name, &[numbers.len()], "i64".to_owned());
    let mut lines = vec![
        line("data", packed.data.shape(), dtype.to_string()),
        whole("batch_sizes", &packed.batch_sizes),
    ];
    lines.extend(packed.sorted_indices.iter().map(|own| whole("sorted_indices", own)));
    lines.extend(packed.unsorted_indices.iter().map(|own| whole("unsorted_indices", own)));
    lines
}
