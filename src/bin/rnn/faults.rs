//! `RNN_FAULTS`: faults for tests, in a build with debug assertions. `write 3 3 28` makes the third write fail
//! with error 28 of the system, `short` cuts all reads and writes to a few bytes.

use anyhow::Result;
use elman::faults::{FaultPlan, Operation, plan};

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
    let operation = match operation {
        "read" => Operation::Read,
        "write" => Operation::Write,
        "sync" => Operation::Sync,
        "rename" => Operation::Rename,
        "allocate" => Operation::Allocate,
        _ => return None,
    };
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    Some(FaultPlan::Fail { operation, first, last, errno: errno.parse().ok()? })
}
