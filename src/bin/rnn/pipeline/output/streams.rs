//! What outputs may not be: two in one place, among the weights, or binary data on a terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::files::written_file;

use super::{paths, shown};
use crate::args::Run;
use crate::explain::hint;
use crate::failure::{Usage, with_hint};

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
                format!("expected two files, got {} for {other} and {name}", shown(first))
            };
            return Err(with_hint(Usage(message), hint::set(flag, example)));
        }
        seen.push((name, path));
    }
    let on_stdout = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
    if let Some((.., flag, example)) = targets.into_iter().find(|(_, path, ..)| on_stdout(path)) {
        refuse_terminal(flag, example)?;
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
            let message =
                format!("expected outputs outside the folder of the weights, got {}", shown(&path));
            return Err(with_hint(Usage(message), hint::outputs_outside()));
        }
    }
    Ok(())
}

/// Binary data is not written to a terminal: the value of `flag` is to be such as `example`.
pub(crate) fn refuse_terminal(flag: &str, example: &str) -> Result<()> {
    refuse_terminal_with(|| hint::set(flag, example))
}

/// The same, where what to type is told otherwise.
pub(crate) fn refuse_terminal_with(hint: impl FnOnce() -> String) -> Result<()> {
    if !std::io::stdout().is_terminal() {
        return Ok(());
    }
    let message = "stdout: expected a file or a pipe for binary data, got a terminal".to_owned();
    Err(with_hint(Usage(message), hint()))
}
