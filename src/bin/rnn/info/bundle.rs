//! Tensors by name: weights, a packed sequence, the state of a stream, or simply tensors.

use anyhow::Result;
use elman::files::{Bundle, FileError};
use elman::{Checkpoint, CheckpointError, Error, OutOfMemory, is_parameter_name};
use serde_json::json;

use crate::args::Info;
use crate::explain::one_line;
use crate::report::Notes;

use super::description::Description;
use super::facts::{self, Facts};
use super::{packed, state, weights};

pub(super) fn describe(mut bundle: Bundle, args: &Info) -> Result<Description> {
    let mut notes = Notes::default();
    if args.of_weights.prefix.is_some() || has_parameters(&bundle) {
        let checkpoint =
            Checkpoint::of_bundle(&mut bundle, None, args.of_weights.prefix.as_deref());
        match checkpoint.map_err(Into::into).and_then(|layer| weights::describe(layer, args)) {
            Ok(description) => return Ok(description),
            // The layer of --prefix is missing.
            Err(error) if args.of_weights.prefix.is_some() => return Err(error),
            Err(error) => note_misfit("weights of an RNN", error, &mut notes)?,
        }
    }
    if packed::is_packed(&bundle) {
        match packed::describe(&mut bundle, args) {
            Ok(description) => return Ok(description),
            Err(error) => note_misfit("packed sequence", error, &mut notes)?,
        }
    }
    if let Some(description) = state::describe(&mut bundle, args)? {
        return Ok(description);
    }
    let facts = Facts::of_all(&mut bundle, args.values)?;
    let (lines, object) = (facts::lines(&facts), json!({"tensors": facts::json(&facts)}));
    let description = Description::new(bundle.place(), "tensors", &bundle.format(), lines, object);
    Ok(description.with_notes(notes))
}

/// True if a tensor has the name of a parameter of any layer.
fn has_parameters(bundle: &Bundle) -> bool {
    bundle.entries().iter().any(|entry| {
        is_parameter_name(entry.name.rsplit_once('.').map_or(entry.name.as_str(), |(_, name)| name))
    })
}

/// Notes why tensors are not what their names promise. A file that cannot be read remains an error.
fn note_misfit(what: &str, error: anyhow::Error, notes: &mut Notes) -> Result<()> {
    let mut hint = "";
    match error.downcast_ref() {
        Some(CheckpointError::File(_) | CheckpointError::Layer(Error::OutOfMemory(_))) => {
            return Err(error);
        }
        Some(CheckpointError::Weights { source, .. })
            if matches!(**source, CheckpointError::ManyLayers { .. }) =>
        {
            hint = "; --prefix chooses one";
        }
        None if error.is::<FileError>() || error.is::<OutOfMemory>() => return Err(error),
        None if matches!(error.downcast_ref(), Some(Error::OutOfMemory(_))) => return Err(error),
        _ => {}
    }
    notes.note(format!("no {what}: {}{hint}", one_line(&error)));
    Ok(())
}
