//! Where the outputs of a run go.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::PackedSequence;
use elman::io::{AnyArray, Overwrite, PartWriter, Real, Sink, write_npy, write_npz, written_file};
use ndarray::{Array1, ArrayD};

use crate::args::{ReportArgs, Run};
use crate::failure::{Usage, with_hint};
use crate::hint::CommandLine;
use crate::results::{Produced, Results};
use crate::sequences::Sequences;

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
}

/// Where the tensors have gone.
pub(crate) struct Written {
    pub(crate) output: Option<String>,
    pub(crate) h_n: Option<String>,
    pub(crate) last: Option<String>,
    pub(crate) all_hidden: Option<String>,
    /// Whether one went to standard output.
    pub(crate) stdout: bool,
}

impl Outputs {
    /// Opens what was named; where nothing was, `h_n.npy`, and the output later.
    pub(crate) fn open(args: &Run) -> Result<Self> {
        let open = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| Target::open(path, &args.report)).transpose()
        };
        for (path, flag, archive) in [
            (&args.hn, "--hn", false),
            (&args.last, "--last", false),
            (&args.all_hidden, "--all-hidden", true),
        ] {
            if let Some(path) = path {
                check_extension(path, flag, archive)?;
            }
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
            Some(path) if args.output.is_some() => check_extension(path, "-o", input.is_archive())?,
            Some(path) => self.output = Some(Target::open(path, &args.report)?),
            None => {}
        }
        Ok(self)
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
    ) -> Result<Option<PartWriter>> {
        let sink = self.output.as_mut().and_then(|target| target.sink.take());
        Ok(sink.map(|sink| sink.into_parts::<T>(shape, axes)).transpose()?)
    }

    /// Ends it.
    pub(crate) fn end(&mut self, output: Option<PartWriter>) -> Result<()> {
        if let (Some(target), Some(output)) = (&mut self.output, output) {
            target.sink = Some(output.finish()?);
        }
        Ok(())
    }

    /// Writes everything whole, then puts it in its place.
    pub(crate) fn write<T: Real>(mut self, results: &Results<T>) -> Result<Written> {
        if let (Some(sink), Some(output)) = (sink(&mut self.output), &results.output) {
            write_output(sink, output)?;
        }
        if let Some(sink) = sink(&mut self.hn) {
            sink.write(|file| write_npy(file, &results.h_n.view()))?;
        }
        if let (Some(sink), Some(last)) = (sink(&mut self.last), &results.last) {
            sink.write(|file| write_npy(file, &last.view()))?;
        }
        if let Some(sink) = sink(&mut self.all_hidden) {
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

fn sink(target: &mut Option<Target>) -> Option<&mut Sink> {
    target.as_mut().and_then(|target| target.sink.as_mut())
}

/// Writes an output in the form of its input.
fn write_output<T: Real>(sink: &mut Sink, output: &Produced<T>) -> Result<()> {
    match output {
        Produced::Tensor(tensor) => sink.write(|file| write_npy(file, &tensor.view()))?,
        Produced::Ragged(sequences) => write_npz(sink, &members(sequences), "")?,
        Produced::Packed(packed) => write_packed(sink, packed)?,
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

/// Checks what standard input and output are asked to do, before anything is read.
pub(crate) fn check_streams(args: &Run) -> Result<()> {
    let stdin = [Some(&args.input), args.weights.as_ref(), args.h0.as_ref(), args.lengths.as_ref()];
    if stdin.iter().flatten().filter(|path| **path == "-").count() > 1 {
        return Err(
            Usage("expected one tensor from stdin, got - for more than one".to_owned()).into()
        );
    }
    let targets = [
        ("output", &args.output, "-o", "output.npy"),
        ("h_n", &args.hn, "--hn", "h_n.npy"),
        ("last", &args.last, "--last", "last.npy"),
        ("all hidden states", &args.all_hidden, "--all-hidden", "all.npz"),
    ];
    let mut seen: Vec<(&str, &PathBuf)> = Vec::new();
    for (name, path, flag, example) in targets {
        let Some(path) = path else { continue };
        let stdout = Path::new("-");
        let same = |(_, other): &&(&str, &PathBuf)| match (written_file(path), written_file(other))
        {
            (Some(file), Some(other)) => file == other,
            _ => *path == stdout && *other == stdout,
        };
        if let Some((other, first)) = seen.iter().find(same) {
            let message = if path == stdout {
                format!("expected one tensor on stdout, got - for {other} and {name}")
            } else {
                format!("expected two files, got {} for {other} and {name}", first.display())
            };
            let line = CommandLine::new().with(flag, Some(example));
            return Err(with_hint(Usage(message), Some(line.to_string())));
        }
        seen.push((name, path));
    }
    if seen.iter().any(|(_, path)| *path == Path::new("-")) {
        refuse_terminal("output.npy")?;
    }
    refuse_among_weights(args)
}

/// Refuses outputs in the folder of the weights: they would be a tensor too many there, or replace one.
fn refuse_among_weights(args: &Run) -> Result<()> {
    let Some(weights) = args.weights.as_ref().and_then(|path| Path::new(path).canonicalize().ok())
    else {
        return Ok(());
    };
    for path in paths(args).filter(|_| weights.is_dir()) {
        if written_file(&path).is_some_and(|file| file.parent() == Some(&weights)) {
            let message = format!(
                "expected outputs outside the folder of the weights, got {}",
                path.display()
            );
            let line = CommandLine::new().with("-o", Some("../output.npy"));
            let line = line.with("--hn", Some("../h_n.npy"));
            return Err(with_hint(Usage(message), Some(line.to_string())));
        }
    }
    Ok(())
}

/// What happens to an output that exists.
pub(crate) fn overwrite(args: &ReportArgs) -> Overwrite {
    if args.no_clobber { Overwrite::Refuse } else { Overwrite::Replace }
}

/// An output as the report calls it.
pub(crate) fn shown(path: &Path) -> String {
    if path == Path::new("-") { "stdout".to_owned() } else { path.display().to_string() }
}

/// Binary data is not written to a terminal.
pub(crate) fn refuse_terminal(example: &str) -> Result<()> {
    if !std::io::stdout().is_terminal() {
        return Ok(());
    }
    let message = "stdout: expected a file or a pipe for binary data, got a terminal".to_owned();
    let line = CommandLine::new().with("-o", Some(example));
    Err(with_hint(Usage(message), Some(line.to_string())))
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
        path.display(),
        extension.to_string_lossy()
    );
    let other = path.with_extension(expected);
    let line = CommandLine::new().with(flag, Some(&other.to_string_lossy()));
    Err(with_hint(Usage(message), Some(line.to_string())))
}
