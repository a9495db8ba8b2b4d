//! The weights of a command are never one of its outputs.

use std::path::Path;

use anyhow::Result;
use elman::files::FileId;

use super::output_path::shown;
use crate::explain::hint;
use crate::failure::{Usage, with_hint};

/// Name and flag of an output, another file that it could be, and its path. Standard output alone has no flag.
type Named<'a> = (&'a str, &'a str, &'a str, &'a Path);

/// Rejects outputs that are the file of the weights, or in the folder of the weights, by any path.
pub(crate) fn refuse_weights<'a>(
    id: Option<FileId>,
    outputs: impl IntoIterator<Item = Named<'a>>,
) -> Result<()> {
    if id.is_none() {
        return Ok(());
    }
    for (name, flag, example, path) in outputs {
        let is_stdout = path == Path::new("-");
        let file = if is_stdout { FileId::of_stream(&std::io::stdout()) } else { FileId::at(path) };
        if file == id {
            let message = format!(
                "expected an output other than the weights, got {} for {name}",
                shown(path)
            );
            let hint = match flag {
                "" => hint::redirected(&format!("> {example}")),
                flag => hint::set(flag, example),
            };
            return Err(with_hint(Usage(message), hint));
        }
        if id.is_some_and(|id| !is_stdout && id.holds(path)) {
            let message =
                format!("expected outputs outside the folder of the weights, got {}", shown(path));
            return Err(with_hint(Usage(message), hint::outputs_outside()));
        }
    }
    Ok(())
}
