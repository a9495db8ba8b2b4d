//! Tensors that are not a layer's weights: their types are kept, and large ones pass piece by piece.

use std::cell::RefCell;
use std::path::Path;

use anyhow::Result;
use elman::Dtype;
use elman::files::{
    Accepts, AnyArray, Conversion, Converted, File, FileError, Sink, Source, StoredType,
    TensorFormat, is_standard_output, open_with, whole_model, write_npz, write_safetensors,
};

use crate::args::{Convert, Format, typed_flags};
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::layer::holds_weights;
use crate::numbers::conversion_note;
use crate::pipeline::extent;
use crate::pipeline::output_path::{refuse_terminal, refused, shown};
use crate::pipeline::sequences::kept;
use crate::pipeline::table::{check_table, note_table};
use crate::progress;
use crate::report::{Notes, Report, TensorLine};

/// The format of the output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    One(TensorFormat),
    Npz,
    Safetensors,
}

/// What a command converts.
pub(super) enum Found {
    Weights,
    /// Tensors, and their file if it had to be opened to tell.
    Tensors(Option<Box<File>>),
}

/// Tells weights from other tensors: by the flags, or by the file.
pub(super) fn found(args: &Convert) -> Result<Found> {
    let (source, of_tensors) = (Source::parse(&args.source), of_tensors(args));
    let of_weights = of_weights(args);
    if let Some(flag) = of_weights.first() {
        let Some(other) = of_tensors.first() else { return Ok(Found::Weights) };
        let message = format!("expected weights with {flag}, got {other}, of tensors");
        return Err(with_hint(Usage(message), hint::without(&of_weights)));
    }
    if !of_tensors.is_empty() {
        return Ok(Found::Tensors(None));
    }
    // A pipe can be read once.
    let Source::Path(path) = &source else { return Ok(Found::Weights) };
    if whole_model(&source).is_some() || !(path.is_file() || path.is_dir()) {
        return Ok(Found::Weights);
    }
    match open_source(args) {
        Ok(File::Bundle(bundle)) if holds_weights(&bundle) => Ok(Found::Weights),
        Ok(file @ File::Tensor(_)) => Ok(Found::Tensors(Some(Box::new(file)))),
        Ok(file @ File::Bundle(_)) if Target::of(args).is_ok() => {
            Ok(Found::Tensors(Some(Box::new(file))))
        }
        Err(error @ (FileError::Table { .. } | FileError::Overflow { .. })) => {
            Err(explained(error))
        }
        // Any other error is that of the weights, which names what they can be.
        _ => Ok(Found::Weights),
    }
}

fn open_source(args: &Convert) -> Result<File, FileError> {
    let columns = args.table.columns();
    let (source, options) = (Source::parse(&args.source), args.table.options(&columns));
    open_with(&source, Accepts::Anything, &options)
}

/// The typed flags that only weights have.
fn of_weights(args: &Convert) -> Vec<&'static str> {
    let (layer, model) = (&args.layer, &args.model);
    let typed = [
        ("--prefix", args.of_weights.prefix.is_some()),
        ("--merge-bias", args.merge_bias),
        ("--strict", args.of_weights.strict),
        ("--input-size", layer.input_size.is_some()),
        ("--hidden-size", layer.hidden_size.is_some()),
        ("--num-layers", layer.num_layers.is_some()),
        ("--nonlinearity", layer.nonlinearity.is_some()),
        ("--no-bias", layer.no_bias),
        ("--batch-first", layer.batch_first.is_some()),
        ("--bidirectional", layer.bidirectional),
        ("--dropout", layer.dropout.is_some()),
        ("--pool", model.pool.is_some()),
        ("--labels", model.labels.is_some()),
    ];
    typed_flags(&typed).into_iter().chain(model.parts.of_weights()).collect()
}

/// The typed words that only tensors have.
fn of_tensors(args: &Convert) -> Vec<&'static str> {
    let extension = args.target.extension().unwrap_or_default().to_string_lossy();
    let one = ["npy", "csv", "tsv", "txt"].into_iter().find(|own| *own == extension);
    let is_dtype = |stored: StoredType| !matches!(stored, StoredType::F32 | StoredType::F64);
    let typed = [
        ("--slice", !args.slice.is_empty()),
        ("--transpose", !args.transpose.is_empty()),
        ("--format", args.format.is_some_and(|format| format != Format::Npz)),
        ("--dtype", args.dtype.is_some_and(is_dtype)),
        ("NAME", matches!(Source::parse(&args.source), Source::Member(..))),
    ];
    typed_flags(&typed).into_iter().chain(args.table.flags()).chain(one).collect()
}

/// The type of weights.
pub(super) fn dtype_of_weights(args: &Convert) -> Result<Option<Dtype>> {
    match args.dtype {
        None => Ok(None),
        Some(StoredType::F32) => Ok(Some(Dtype::F32)),
        Some(StoredType::F64) => Ok(Some(Dtype::F64)),
        Some(other) => {
            let message = format!("expected --dtype f32 or f64 for weights, got {other}");
            Err(with_hint(Usage(message), hint::set("--dtype", "f32")))
        }
    }
}

impl Target {
    fn of(args: &Convert) -> Result<Self> {
        let path = &args.target;
        if args.format.is_some() && !is_standard_output(path) {
            let message = format!("expected - as output with --format, got {}", shown(path));
            return Err(with_hint(Usage(message), hint::without(&["--format"])));
        }
        let path = args.format.map_or(path.as_path(), |format| Path::new(format.file_name()));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npz") => Ok(Target::Npz),
            Some("safetensors") => Ok(Target::Safetensors),
            _ => {
                let format = TensorFormat::of(path).filter(|_| !path.is_dir());
                format.map(Target::One).ok_or_else(|| {
                    let expected = ".npy, .npz, .safetensors, .csv, .tsv, .txt or - for tensors";
                    refused(path, expected, replaced(path, "npz"))
                })
            }
        }
    }

    /// The type of the numbers of this type in the output: their own, if the format has it.
    fn stored(self, stored: StoredType) -> StoredType {
        match (self, stored) {
            (Target::One(TensorFormat::Npy) | Target::Npz, stored) => kept(stored),
            (Target::Safetensors, StoredType::Text) => StoredType::F32,
            // The numbers of a text stay what they are in another one.
            (_, StoredType::Text) => StoredType::F64,
            (_, stored) => stored,
        }
    }
}

/// The command with another extension of its output.
fn replaced(path: &Path, extension: &str) -> String {
    let (typed, other) = (path.to_string_lossy(), path.with_extension(extension));
    hint::replaced(&typed, &other.to_string_lossy()).unwrap_or_else(hint::help)
}

/// Name, type and shape of each tensor of a file.
fn entries(args: &Convert, file: &File) -> Vec<(String, StoredType)> {
    match file {
        File::Bundle(bundle) => {
            bundle.entries().iter().map(|entry| (entry.name.clone(), entry.stored)).collect()
        }
        File::Tensor(file) => {
            let name = match Source::parse(&args.source) {
                Source::Member(_, name) => name,
                Source::Path(path) => path.file_stem().unwrap_or_default().to_string_lossy().into(),
                Source::Stdin => "tensor".to_owned(),
            };
            vec![(name, file.header().stored)]
        }
        #[cfg(feature = "onnx")]
        File::Graph(_) => vec![(String::new(), StoredType::F32)],
    }
}

pub(super) fn convert(args: &Convert, file: Option<Box<File>>) -> Result<()> {
    let target = Target::of(args)?;
    let stdout = is_standard_output(&args.target);
    if stdout {
        refuse_terminal(|| hint::convert(&args.source.to_string_lossy(), "x.npy"))?;
    }
    // An output that cannot be written is reported before a pipe is read.
    let mut sink = Sink::open(&args.target, args.report.overwrite())?;
    let file = file.map_or_else(|| open_source(args), |file| Ok(*file)).map_err(explained)?;
    check_table(&args.table.flags(), [&file], &Source::parse(&args.source).to_string())?;
    let mut notes = Notes::new(args.report.form());
    if let File::Tensor(file) = &file {
        note_table(file, &mut notes);
    }
    let entries = entries(args, &file);
    if let (Target::One(_), File::Bundle(bundle)) = (target, &file)
        && entries.len() != 1
    {
        let first = entries.first().map(|(name, _)| format!("{}:{name}", bundle.place()));
        let command =
            first.and_then(|first| hint::replaced(&args.source.to_string_lossy(), &first));
        return Err(with_hint(bundle.expected("one tensor"), command));
    }
    let file = RefCell::new(file);
    let tensors = converted(args, target, &file, entries, &mut notes)?;
    let bytes = extent::sum(tensors.iter().map(|(_, tensor)| tensor.bytes()));
    // They are read on the way.
    let bar = progress::transfer(bytes.saturating_mul(2));
    write(args, (target, &mut sink), &tensors, &mut notes)?;
    drop(bar);
    sink.commit()?;
    let line = |(name, tensor): &(String, Converted<'_>)| {
        let (shape, dtype) = ((tensor.shape(), &[][..]), tensor.stored().to_string());
        TensorLine::new(name, shape, dtype, Some(shown(&args.target)))
    };
    let tensors = tensors.iter().map(line).collect();
    Report { command: "convert", tensors, notes, ..Report::default() }.print(stdout)
}

/// The tensors of the output, whose numbers are read when they are written.
fn converted<'a>(
    args: &Convert,
    target: Target,
    file: &'a RefCell<File>,
    entries: Vec<(String, StoredType)>,
    notes: &mut Notes,
) -> Result<Vec<(String, Converted<'a>)>> {
    let conversion = Conversion { slices: args.slice.clone(), axes: args.transpose.clone() };
    let convert = |(index, (name, from)): (usize, (String, StoredType))| {
        let stored = target.stored(args.dtype.unwrap_or(from));
        if args.dtype.is_some_and(|asked| asked != stored) {
            let message =
                format!("{}: expected a type that the format holds, got bf16", shown(&args.target));
            return Err(with_hint(Usage(message), hint::set("--dtype", "f32")));
        }
        if args.dtype.is_none() && stored != from {
            notes.notes.extend(conversion_note::<f32>(&name, from));
        }
        let tensor = Converted::new(file, index, &conversion, stored).map_err(explained)?;
        Ok((name, tensor))
    };
    entries.into_iter().enumerate().map(convert).collect()
}

fn write(
    args: &Convert,
    (target, sink): (Target, &mut Sink),
    tensors: &[(String, Converted<'_>)],
    notes: &mut Notes,
) -> Result<()> {
    let held = tensors.iter().filter(|_| !args.transpose.is_empty());
    let most = held.map(|(_, tensor)| tensor.bytes()).max().unwrap_or(0);
    extent::announce("tensors with other axes are held whole", most, notes);
    if let (Target::One(format), [(_, only)]) = (target, tensors)
        && !format.holds(only.shape())
    {
        let (place, shape) = (shown(&args.target), only.shape());
        let message =
            format!("{place}: expected rows and columns for a table, got shape {shape:?}");
        return Err(with_hint(Usage(message), replaced(&args.target, "npy")));
    }
    let members = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor as &dyn AnyArray));
    let members: Vec<_> = members.collect();
    let written = match target {
        Target::One(format) => sink.write(|file| {
            tensors.iter().try_for_each(|(_, tensor)| format.write_converted(file, tensor))
        }),
        Target::Npz => write_npz(sink, &members, ""),
        Target::Safetensors => write_safetensors(sink, &members, ""),
    };
    written.map_err(explained)
}

/// An error with a hint, for a number that is too large for the default type.
fn explained(error: FileError) -> anyhow::Error {
    let overflow = matches!(error, FileError::Overflow { dtype: "f32", .. });
    with_hint(error, overflow.then(|| hint::set("--dtype", "f64")))
}
