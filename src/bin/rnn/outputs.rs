//! Where `output` and `h_n` go, and how their axes are called.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::io::{Overwrite, PartWriter, Real, Sink, write_npy, written_file};
use elman::{Config, Output};
use ndarray::ArrayD;

use crate::args::{ReportArgs, Run};
use crate::failure::{Usage, with_hint};
use crate::hint::CommandLine;

/// Names of the axes of each tensor.
pub(crate) struct Axes {
    pub(crate) input: Vec<&'static str>,
    pub(crate) output: Vec<&'static str>,
    /// Of `h_0` and `h_n`.
    pub(crate) state: Vec<&'static str>,
}

impl Axes {
    /// The names for an input of `rank` axes.
    pub(crate) fn new(config: &Config, rank: usize) -> Self {
        let (states, features) = if config.bidirectional {
            ("directions*num_layers", "directions*hidden_size")
        } else {
            ("num_layers", "hidden_size")
        };
        let (sequence, state): (&[_], &[_]) = match rank {
            2 => (&["seq_len"], &[states]),
            _ if config.batch_first => (&["batch", "seq_len"], &[states, "batch"]),
            _ => (&["seq_len", "batch"], &[states, "batch"]),
        };
        Axes {
            input: [sequence, &["input_size"]].concat(),
            output: [sequence, &[features]].concat(),
            state: [state, &["hidden_size"]].concat(),
        }
    }
}

/// The outputs of a run, found writable.
pub(crate) struct Outputs {
    output: Option<(PathBuf, Sink)>,
    hn: Option<(PathBuf, Sink)>,
    /// The path of an output that is being written in parts.
    in_parts: Option<PathBuf>,
}

/// Where the tensors have gone.
pub(crate) struct Written {
    pub(crate) output: Option<String>,
    pub(crate) h_n: Option<String>,
    /// Whether one went to standard output.
    pub(crate) stdout: bool,
}

impl Outputs {
    /// Opens what was named; where nothing was, `output.npy` and `h_n.npy`.
    pub(crate) fn open(args: &Run) -> Result<Self> {
        let open = |path: Option<PathBuf>| {
            path.map(|path| {
                let sink = Sink::open(&path, overwrite(&args.report))?;
                Ok::<_, anyhow::Error>((path, sink))
            })
            .transpose()
        };
        let [output, hn] = named(args);
        Ok(Outputs { output: open(output)?, hn: open(hn)?, in_parts: None })
    }

    /// Whether the output, where there is one, can be written at any place.
    pub(crate) fn output_is_file(&self) -> bool {
        self.output.as_ref().is_none_or(|(_, sink)| sink.is_file())
    }

    /// Writes both tensors whole, then puts them in their places.
    pub(crate) fn write<T: Real>(mut self, result: &Output<T>) -> Result<Written> {
        if let Some((_, sink)) = &mut self.output {
            sink.write(|file| write_npy(file, &result.output.view()))?;
        }
        self.commit(&result.h_n)
    }

    /// Begins an output that is written in parts.
    pub(crate) fn begin<T: Real>(
        &mut self,
        shape: &[usize],
        axes: [usize; 3],
    ) -> Result<Option<PartWriter>> {
        let Some((path, sink)) = self.output.take() else { return Ok(None) };
        self.in_parts = Some(path);
        Ok(Some(sink.into_parts::<T>(shape, axes)?))
    }

    /// Ends it, and goes on as [`Outputs::write`] does.
    pub(crate) fn end<T: Real>(
        mut self,
        output: Option<PartWriter>,
        h_n: &ArrayD<T>,
    ) -> Result<Written> {
        if let (Some(path), Some(output)) = (self.in_parts.take(), output) {
            self.output = Some((path, output.finish()?));
        }
        self.commit(h_n)
    }

    fn commit<T: Real>(mut self, h_n: &ArrayD<T>) -> Result<Written> {
        if let Some((_, sink)) = &mut self.hn {
            sink.write(|file| write_npy(file, &h_n.view()))?;
        }
        let mut places = Vec::new();
        let mut stdout = false;
        for target in [self.output, self.hn] {
            let Some((path, sink)) = target else {
                places.push(None);
                continue;
            };
            sink.commit()?;
            stdout |= path == Path::new("-");
            places.push(Some(shown(&path)));
        }
        let h_n = places.pop().flatten();
        Ok(Written { output: places.pop().flatten(), h_n, stdout })
    }
}

/// Where `output` and `h_n` go: to what was named, or to the defaults where nothing was.
fn named(args: &Run) -> [Option<PathBuf>; 2] {
    if args.output.is_none() && args.hn.is_none() {
        return ["output.npy", "h_n.npy"].map(|name| Some(PathBuf::from(name)));
    }
    [args.output.clone(), args.hn.clone()]
}

/// Every file that is written, standard output aside.
pub(crate) fn paths(args: &Run) -> impl Iterator<Item = PathBuf> {
    named(args).into_iter().flatten().filter(|path| path != Path::new("-"))
}

/// Checks what standard input and output are asked to do, before anything is read.
pub(crate) fn check_streams(args: &Run) -> Result<()> {
    let stdin = [Some(&args.input), args.weights.as_ref(), args.h0.as_ref()];
    if stdin.iter().flatten().filter(|path| **path == "-").count() > 1 {
        return Err(
            Usage("expected one tensor from stdin, got - for more than one".to_owned()).into()
        );
    }
    let targets = [&args.output, &args.hn];
    let stdout = targets.iter().filter(|path| path.as_deref() == Some(Path::new("-"))).count();
    if stdout > 1 {
        let message = "expected one tensor on stdout, got - for output and h_n".to_owned();
        let line = CommandLine::new().with("--hn", Some("h_n.npy"));
        return Err(with_hint(Usage(message), Some(line.to_string())));
    }
    if let (Some(output), Some(hn)) = (&args.output, &args.hn)
        && let (Some(first), Some(second)) = (written_file(output), written_file(hn))
        && first == second
    {
        let message = format!("expected two files, got {} for output and h_n", output.display());
        let line = CommandLine::new().with("--hn", Some("h_n.npy"));
        return Err(with_hint(Usage(message), Some(line.to_string())));
    }
    if stdout == 1 {
        refuse_terminal("output.npy")?;
    }
    refuse_among_weights(args)?;
    for (path, flag) in [(&args.output, "-o"), (&args.hn, "--hn")] {
        if let Some(path) = path {
            check_extension(path, flag)?;
        }
    }
    Ok(())
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

/// The format of an output follows from its extension; a tensor's is .npy, and so is a name without any.
pub(crate) fn check_extension(path: &Path, flag: &str) -> Result<()> {
    let extension = path.extension().unwrap_or_default();
    if extension.is_empty() || extension == "npy" {
        return Ok(());
    }
    let message = format!(
        "{}: expected .npy or - for a tensor, got .{}",
        path.display(),
        extension.to_string_lossy()
    );
    let line = CommandLine::new().with(flag, Some(&path.with_extension("npy").to_string_lossy()));
    Err(with_hint(Usage(message), Some(line.to_string())))
}
