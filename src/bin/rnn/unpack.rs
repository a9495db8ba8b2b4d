//! `rnn unpack`: back from a `PackedSequence` to a padded tensor and lengths, or to single sequences.

use std::path::Path;

use anyhow::{Context, Result};
use elman::io::{AnyArray, Dtype, Real, Sink, Source, write_npy, write_npz, written_file};
use elman::{
    Element, Error, PackedSequence, PaddingSide, pad_packed_sequence, pad_sequence, unpack_sequence,
};
use ndarray::{ArrayD, ArrayViewD, Axis, concatenate};

use crate::args::{Side, Unpack};
use crate::failure::{Usage, with_hint};
use crate::hint::CommandLine;
use crate::outputs::{check_extension, overwrite, refuse_terminal, shown, whole_numbers};
use crate::report::{Notes, Report, TensorLine};
use crate::sequences::{self, Sequences};

pub(crate) fn unpack(args: &Unpack) -> Result<()> {
    let single = args.output.extension().is_some_and(|extension| extension == "npz");
    check_extension(&args.output, "-o", single)?;
    if let Some(lengths) = &args.lengths {
        check_extension(lengths, "--lengths", false)?;
        let same = match (written_file(lengths), written_file(&args.output)) {
            (Some(file), Some(other)) => file == other,
            _ => *lengths == args.output,
        };
        if same {
            let message = format!("expected two files, got {} for both", lengths.display());
            let line = CommandLine::new().with("--lengths", Some("lengths.npy"));
            return Err(with_hint(Usage(message), Some(line.to_string())));
        }
    }
    let outputs = [Some(&args.output), args.lengths.as_ref()];
    let stdout = outputs.into_iter().flatten().any(|path| path == Path::new("-"));
    if stdout {
        refuse_terminal("padded.npy")?;
    }
    let input = Sequences::open(&Source::parse(&args.input), &[])?;
    match input.natural() {
        Dtype::F32 => unpack_as::<f32>(args, input, single, stdout),
        Dtype::F64 => unpack_as::<f64>(args, input, single, stdout),
    }
}

fn unpack_as<T: Element + Real>(
    args: &Unpack,
    input: Sequences,
    single: bool,
    stdout: bool,
) -> Result<()> {
    let place = input.place().to_owned();
    let Sequences::Packed(members, _) = input else {
        let message = format!("{place}: expected a packed sequence (data, batch_sizes), got none");
        return Err(crate::failure::Data(message).into());
    };
    let packed = sequences::read_packed::<T>(members)?;
    let open = |path: &Path| Sink::open(path, overwrite(&args.report));
    let mut sink = open(&args.output)?;
    let mut lengths_sink = args.lengths.as_deref().map(open).transpose()?;
    let line = |name: &str, shape: &[usize], path: &Path| TensorLine {
        name: name.to_owned(),
        shape: shape.to_vec(),
        axes: Vec::new(),
        dtype: T::DTYPE.to_string(),
        file: Some(shown(path)),
    };
    let mut tensors = Vec::new();
    if single {
        let own = unpack_sequence(&packed)?;
        let names: Vec<_> = (0..own.len()).map(|row| row.to_string()).collect();
        let mut all: Vec<(&str, &dyn AnyArray)> = Vec::new();
        for (name, own) in names.iter().zip(&own) {
            tensors.push(line(name, own.shape(), &args.output));
            all.push((name, own));
        }
        write_npz(&mut sink, &all, "")?;
    } else {
        let padded = padded(args, &packed).with_context(|| place)?;
        tensors.push(line("padded", padded.shape(), &args.output));
        sink.write(|file| write_npy(file, &padded.view()))?;
    }
    if let (Some(sink), Some(path)) = (&mut lengths_sink, &args.lengths) {
        let lengths = whole_numbers(&packed.lengths()?);
        tensors
            .push(TensorLine { dtype: "i64".to_owned(), ..line("lengths", lengths.shape(), path) });
        sink.write(|file| write_npy(file, &lengths.view()))?;
    }
    sink.commit()?;
    lengths_sink.map_or(Ok(()), Sink::commit)?;
    let report = Report {
        command: "unpack",
        layer: None,
        weights: None,
        seed: None,
        rng: None,
        tensors,
        run: None,
        notes: Notes::default(),
    };
    report.print(&args.report, stdout)
}

/// The padded tensor. With the padding on the left, sequences end together.
fn padded<T: Element + Real>(args: &Unpack, packed: &PackedSequence<T>) -> Result<ArrayD<T>> {
    let padding = <T as Real>::from_f64(args.padding_value);
    // Without a sequence there is no side.
    if args.padding_side == Side::Right || packed.batch() == 0 {
        return Ok(pad_packed_sequence(packed, args.batch_first, padding, args.total_length)?.0);
    }
    let own = unpack_sequence(packed)?;
    let views: Vec<ArrayViewD<'_, T>> = own.iter().map(|own| own.view()).collect();
    let padded = pad_sequence(&views, args.batch_first, padding, PaddingSide::Left)?;
    let longest = packed.batch_sizes.len();
    let total = args.total_length.unwrap_or(longest);
    if total < longest {
        return Err(Error::TotalLength { longest, found: total }.into());
    }
    let axis = Axis(usize::from(args.batch_first));
    let mut before = padded.shape().to_vec();
    before[axis.0] = total - longest;
    let before = ArrayD::from_elem(before, padding);
    Ok(concatenate(axis, &[before.view(), padded.view()])?)
}
