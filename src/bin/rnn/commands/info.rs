//! `rnn info`: what is in files.

use std::ffi::OsStr;

use anyhow::Result;

use crate::args::{Info, InfoForm};
use crate::dynamics;
use crate::explain;
use crate::failure::{Reported, Usage};
use crate::info::{Description, describe};
use crate::report::{Notes, print_json, print_with};

pub(crate) fn info(args: &Info) -> Result<()> {
    // Standard input can be read once.
    if args.files.iter().filter(|file| *file == "-").count() > 1 {
        return Err(Usage("expected one file from stdin, got - more than once".to_owned()).into());
    }
    let (mut objects, mut between, mut failed) = (Vec::new(), "", None);
    for file in &args.files {
        match describe(file, args).and_then(|own| with_dynamics(own, file, args)) {
            Ok(description) if args.report == InfoForm::Text => {
                print_with(|out| {
                    out.write_all(between.as_bytes())?;
                    description.write(out)
                })?;
                between = "\n";
            }
            Ok(description) => objects.push(description),
            // The other files are still described, as with cat and sha256sum.
            Err(error) => failed = failed.or(Some(explain::report(&error))),
        }
    }
    if args.report == InfoForm::Json {
        match &objects[..] {
            [] if args.files.len() == 1 => {}
            [only] if args.files.len() == 1 => print_json(only)?,
            all => print_json(&all)?,
        }
    }
    failed.map_or(Ok(()), |code| Err(Reported(code).into()))
}

/// Adds the dynamics of the layer, if `--dynamics` asks for it.
fn with_dynamics(description: Description, file: &OsStr, args: &Info) -> Result<Description> {
    if !args.dynamics.dynamics {
        return Ok(description);
    }
    let (place, is_weights) = description.file();
    if !is_weights || file == "-" {
        let message = format!("{place}: expected a file of weights with --dynamics");
        return Err(Usage(message).into());
    }
    let mut notes = Notes::default();
    let dynamics = dynamics::describe(file, args, &mut notes)?;
    notes.notes.append(&mut notes.said);
    Ok(description.with_dynamics(serde_json::to_value(&dynamics)?, dynamics.lines(), notes))
}
