//! `RNN_FAULTS`: faults for tests, in a build with debug assertions. `write 3 3 28` makes the third write fail
//! with error 28 of the system, `short` cuts all reads and writes to a few bytes.

use anyhow::Result;
use elman::faults::Operation::{Allocate, Read, Rename, Sync, Write};
use elman::faults::{FaultPlan, plan};

use crate::failure::Usage;

/// Reads the variable, if it is set.
pub(crate) fn install() -> Result<()> {
    let Ok(text) = std::env::var("RNN_FAULTS") else { return Ok(()) };
    let wrong = || Usage(format!("RNN_FAULTS: expected OPERATION FIRST LAST ERRNO, got {text}"));
    plan(parse(&text).ok_or_else(wrong)?);
    Ok(())
}

fn parse(text: &str) -> Option<FaultPlan> {
    if text == "short" {
        return Some(FaultPlan::Short);
    }
    let words: Vec<_> = text.split(' ').collect();
    let &[operation, first, last, errno] = words.as_slice() else { return None };
    let all = [Read, Write, Sync, Rename, Allocate];
    let operation = all.into_iter().find(|own| format!("{own:?}").to_lowercase() == operation)?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    Some(FaultPlan::Fail { operation, first, last, errno: errno.parse().ok()? })
}
