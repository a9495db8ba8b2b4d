//! Where the outputs of a run go.

mod streams;

use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::PackedSequence;
use elman::files::{AnyArray, Overwrite, PartWriter, Real, Sink, Source, TensorFormat, write_npz};
use ndarray::{Array1, ArrayD, ArrayViewD};

use crate::args::{ReportArgs, Run};
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::pipeline::input::Sequences;
use crate::pipeline::results::{Produced, Results, Written};

pub(crate) use streams::{check_streams, refuse_terminal, refuse_terminal_with};

/// The outputs of a run, found writable.
pub(crate) struct Outputs {
    output: Option<Target>,
    hn: Option<Target>,
    last: Option<Target>,
    all_hidden: Option<Target>,
}

/// A file that is going to be written.
struct Target {
    path: PathBuf,
    sink: Option<Sink>,
}

impl Target {
    fn open(path: &Path, report: &ReportArgs) -> Result<Self> {
        let sink = Sink::open(path, overwrite(report))?;
        Ok(Target { path: path.to_owned(), sink: Some(sink) })
    }

    /// The format of a single tensor; that of an archive does not depend on the extension.
    fn format(&self) -> TensorFormat {
        TensorFormat::of(&self.path).unwrap_or(TensorFormat::Npy)
    }

    /// Writes a tensor in the format that the extension says.
    fn write<T: Real>(&mut self, tensor: &ArrayViewD<'_, T>) -> Result<()> {
        let format = self.format();
        let Some(sink) = &mut self.sink else { return Ok(()) };
        Ok(sink.write(|file| format.write(file, tensor))?)
    }
}

impl Outputs {
    /// Opens what was named; where nothing was, `h_n.npy`, and the output later.
    pub(crate) fn open(args: &Run) -> Result<Self> {
        let open = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| Target::open(path, &args.report)).transpose()
        };
        for (path, flag) in [(&args.hn, "--hn"), (&args.last, "--last")] {
            path.as_ref().map(|path| tensor_format(path, flag)).transpose()?;
        }
        if let Some(path) = &args.all_hidden {
            check_extension(path, "--all-hidden", true)?;
        }
        let [_, hn, last, all_hidden] = named(args, false);
        Ok(Outputs {
            output: open(&args.output)?,
            hn: open(&hn)?,
            last: open(&last)?,
            all_hidden: open(&all_hidden)?,
        })
    }

    /// Gives the output the form of its input: an .npz where that is one, else a .npy.
    pub(crate) fn of(mut self, args: &Run, input: &Sequences) -> Result<Self> {
        let [output, ..] = named(args, input.is_archive());
        match &output {
            Some(path) if args.output.is_some() && input.is_archive() => {
                check_extension(path, "-o", true)?;
            }
            Some(path) if args.output.is_some() => {
                tensor_format(path, "-o")?;
            }
            Some(path) => self.output = Some(Target::open(path, &args.report)?),
            None => {}
        }
        Ok(self)
    }

    /// Refuses what a table cannot hold, before it is computed: the shapes of output, `h_n` and the last
    /// outputs.
    pub(crate) fn check_shapes(&self, shapes: &[Vec<usize>; 3]) -> Result<()> {
        let names = [("output", "-o"), ("h_n", "--hn"), ("last", "--last")];
        let targets = [&self.output, &self.hn, &self.last];
        for ((target, name), shape) in targets.into_iter().zip(names).zip(shapes) {
            if let Some(Target { path, .. }) = target {
                check_shape(path, name, shape)?;
            }
        }
        Ok(())
    }

    /// Whether the output is written as text, which is written whole.
    pub(crate) fn output_is_text(&self) -> bool {
        self.output.as_ref().is_some_and(|target| target.format() != TensorFormat::Npy)
    }

    /// Whether the output, where there is one, can be written at any place.
    pub(crate) fn output_is_file(&self) -> bool {
        let sink = self.output.as_ref().and_then(|target| target.sink.as_ref());
        sink.is_none_or(Sink::is_file)
    }

    /// Begins an output that is written in parts.
    pub(crate) fn begin<T: Real>(
        &mut self,
        shape: &[usize],
        axes: [usize; 3],
    ) -> Result<Option<PartWriter<T>>> {
        let sink = self.output.as_mut().and_then(|target| target.sink.take());
        Ok(sink.map(|sink| sink.into_parts::<T>(shape, axes)).transpose()?)
    }

    /// Ends it.
    pub(crate) fn end<T: Real>(&mut self, output: Option<PartWriter<T>>) -> Result<()> {
        if let (Some(target), Some(output)) = (&mut self.output, output) {
            target.sink = Some(output.finish()?);
        }
        Ok(())
    }

    /// Writes everything whole, then puts it in its place.
    pub(crate) fn write<T: Real>(mut self, results: &Results<T>) -> Result<Written> {
        if let (Some(target), Some(output)) = (&mut self.output, &results.output) {
            write_output(target, output)?;
        }
        if let Some(target) = &mut self.hn {
            target.write(&results.h_n.view())?;
        }
        if let (Some(target), Some(last)) = (&mut self.last, &results.last) {
            target.write(&last.view())?;
        }
        if let Some(Target { sink: Some(sink), .. }) = &mut self.all_hidden {
            write_npz(sink, &members(&results.all_hidden), "")?;
        }
        let targets = [self.output, self.hn, self.last, self.all_hidden];
        let stdout = targets.iter().flatten().any(|target| target.path == Path::new("-"));
        let mut places = [const { None }; 4];
        for (place, target) in places.iter_mut().zip(targets) {
            let Some(Target { path, sink }) = target else { continue };
            sink.map_or(Ok(()), Sink::commit)?;
            *place = Some(shown(&path));
        }
        let [output, h_n, last, all_hidden] = places;
        Ok(Written { output, h_n, last, all_hidden, stdout })
    }
}

/// Writes an output in the form of its input.
fn write_output<T: Real>(target: &mut Target, output: &Produced<T>) -> Result<()> {
    match (output, &mut target.sink) {
        (Produced::Tensor(tensor), _) => target.write(&tensor.view())?,
        (Produced::Ragged(all), Some(sink)) => write_npz(sink, &members(all), "")?,
        (Produced::Packed(packed), Some(sink)) => write_packed(sink, packed)?,
        (_, None) => {}
    }
    Ok(())
}

/// Writes a packed sequence under PyTorch's names; indices that it does not have are left out.
pub(crate) fn write_packed<T: Real>(sink: &mut Sink, packed: &PackedSequence<T>) -> Result<()> {
    let batch_sizes = whole_numbers(&packed.batch_sizes);
    let sorted = packed.sorted_indices.as_deref().map(whole_numbers);
    let unsorted = packed.unsorted_indices.as_deref().map(whole_numbers);
    let mut members: Vec<(&str, &dyn AnyArray)> =
        vec![("data", &packed.data), ("batch_sizes", &batch_sizes)];
    if let (Some(sorted), Some(unsorted)) = (&sorted, &unsorted) {
        members.push(("sorted_indices", sorted));
        members.push(("unsorted_indices", unsorted));
    }
    Ok(write_npz(sink, &members, "")?)
}

/// Tensors with their names as members of an archive.
fn members<T: Real>(tensors: &[(String, ArrayD<T>)]) -> Vec<(&str, &dyn AnyArray)> {
    let mut members: Vec<(&str, &dyn AnyArray)> = Vec::new();
    for (name, tensor) in tensors {
        members.push((name, tensor));
    }
    members
}

/// Sizes or indices as NumPy's int64. No vector has more elements than fit.
pub(crate) fn whole_numbers(numbers: &[usize]) -> ArrayD<i64> {
    numbers
        .iter()
        .map(|&number| i64::try_from(number).unwrap_or(i64::MAX))
        .collect::<Array1<_>>()
        .into_dyn()
}

/// Where output, `h_n`, the last outputs and all hidden states go: to what was named, or to the defaults
/// where nothing was.
fn named(args: &Run, archive: bool) -> [Option<PathBuf>; 4] {
    let named = [&args.output, &args.hn, &args.last, &args.all_hidden].map(Clone::clone);
    if named.iter().any(Option::is_some) {
        return named;
    }
    let output = if archive { "output.npz" } else { "output.npy" };
    [Some(PathBuf::from(output)), Some(PathBuf::from("h_n.npy")), None, None]
}

/// Every file that is written, standard output aside.
pub(crate) fn paths(args: &Run) -> impl Iterator<Item = PathBuf> {
    named(args, false).into_iter().flatten().filter(|path| path != Path::new("-"))
}

/// What happens to an output that exists.
pub(crate) fn overwrite(args: &ReportArgs) -> Overwrite {
    if args.no_clobber { Overwrite::Refuse } else { Overwrite::Replace }
}

/// An output as the report calls it.
pub(crate) fn shown(path: &Path) -> String {
    if path == Path::new("-") {
        return "stdout".to_owned();
    }
    // As an input is shown: control characters in quotes, and escaped.
    Source::Path(path.to_owned()).to_string()
}

/// The format of a tensor, which follows from its extension.
pub(crate) fn tensor_format(path: &Path, flag: &str) -> Result<TensorFormat> {
    TensorFormat::of(path).ok_or_else(|| {
        let message = format!(
            "{}: expected .npy, .csv, .tsv, .txt or - for a tensor, got .{}",
            shown(path),
            path.extension().unwrap_or_default().to_string_lossy()
        );
        with_hint(Usage(message), as_npy(path, flag))
    })
}

/// Refuses a tensor that the format of its file does not hold.
pub(crate) fn check_shape(path: &Path, (name, flag): (&str, &str), shape: &[usize]) -> Result<()> {
    if TensorFormat::of(path).is_none_or(|format| format.holds(shape)) {
        return Ok(());
    }
    let message = format!(
        "{}: {name}: expected rows and columns for a table, got shape {shape:?}",
        shown(path)
    );
    Err(with_hint(Usage(message), as_npy(path, flag)))
}

/// The command with a tensor that goes to .npy.
fn as_npy(path: &Path, flag: &str) -> String {
    let other = path.with_extension("npy");
    hint::set(flag, other.to_string_lossy())
}

/// The format of an output follows from its extension: a tensor's is .npy, an archive's .npz, and so is a
/// name without any.
pub(crate) fn check_extension(path: &Path, flag: &str, archive: bool) -> Result<()> {
    let (expected, what) = if archive { ("npz", "tensors") } else { ("npy", "a tensor") };
    let extension = path.extension().unwrap_or_default();
    if extension.is_empty() || extension == expected {
        return Ok(());
    }
    let message = format!(
        "{}: expected .{expected} or - for {what}, got .{}",
        shown(path),
        extension.to_string_lossy()
    );
    let other = path.with_extension(expected);
    Err(with_hint(Usage(message), hint::set(flag, other.to_string_lossy())))
}
