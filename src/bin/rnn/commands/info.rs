//! `rnn info`: what is in files.

use anyhow::Result;

use crate::args::{Info, InfoForm};
use crate::explain;
use crate::failure::{Reported, Usage};
use crate::info::describe;
use crate::report::{print_json, print_with};

pub(crate) fn info(args: &Info) -> Result<()> {
    // Standard input can be read once.
    if args.files.iter().filter(|file| *file == "-").count() > 1 {
        return Err(Usage("expected one file from stdin, got - more than once".to_owned()).into());
    }
    let (mut objects, mut between, mut failed) = (Vec::new(), "", None);
    for file in &args.files {
        match describe(file, args) {
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
