//! Parts on their way: read, computed and written, at once or by turns.

use std::sync::mpsc::sync_channel;
use std::thread::{Builder, ScopedJoinHandle};

use anyhow::{Result, anyhow};
use elman::Error;
use elman::files::{PartReader, Real};

use super::{Numbers, Parts, Shape};

/// Parts whose memory goes round: one is read while one is computed.
const BUFFERS: usize = 2;

/// What is made of a part.
type Compute<'a, T> = &'a mut dyn FnMut(&Numbers<T>) -> Result<Numbers<T>>;
/// Where its output goes.
type Write<'a, T> = &'a mut (dyn FnMut(&Numbers<T>) -> Result<(), Error> + Send);

/// Reads and writes on two threads while this one computes. None where the system refuses the threads:
/// then nothing has been read.
pub(super) fn in_stages<T: Real + Send>(
    shape: &Shape,
    parts: Parts,
    reader: &mut PartReader,
    compute: Compute<'_, T>,
    write: Write<'_, T>,
) -> Option<Result<()>> {
    let (filled_in, filled) = sync_channel(1);
    let (empty_in, empty) = sync_channel(BUFFERS);
    let (done_in, done) = sync_channel::<Numbers<T>>(0);
    for _ in 0..BUFFERS {
        // There is room for all of them.
        let _ = empty_in.send(Vec::new());
    }
    std::thread::scope(|scope| {
        let write_all = move || done.into_iter().try_for_each(|numbers| write(&numbers));
        let writing = Builder::new().spawn_scoped(scope, write_all).ok()?;
        let read_all = move || {
            for part in parts.iter() {
                // A stage that is gone has an error of its own.
                let Ok(mut values) = empty.recv() else { return Ok(()) };
                reader.read(&shape.place(&part), &mut values)?;
                let features = shape.input_size;
                if filled_in.send(Numbers { part, features, values }).is_err() {
                    return Ok(());
                }
            }
            reader.expect_end()
        };
        let reading = Builder::new().spawn_scoped(scope, read_all).ok()?;
        let computed = filled.into_iter().try_for_each(|numbers| {
            let output = compute(&numbers)?;
            // Memory for a reader that is done is not missed. A writer that is gone has an error of its own,
            // which is the one that is reported: the rest would be computed for nobody.
            let _ = empty_in.send(numbers.values);
            done_in.send(output).map_err(|_| anyhow!("the writer is gone"))
        });
        drop((empty_in, done_in));
        let (read, written) = (joined(reading), joined(writing));
        Some(read.and(written).map_err(Into::into).and(computed))
    })
}

/// Reads, computes and writes by turns.
pub(super) fn in_turn<T: Real>(
    shape: &Shape,
    parts: Parts,
    reader: &mut PartReader,
    compute: Compute<'_, T>,
    write: Write<'_, T>,
) -> Result<()> {
    let mut values = Vec::new();
    for part in parts.iter() {
        reader.read(&shape.place(&part), &mut values)?;
        let numbers = Numbers { part, features: shape.input_size, values };
        write(&compute(&numbers)?)?;
        values = numbers.values;
    }
    Ok(reader.expect_end()?)
}

/// What a thread has returned; its panic goes on here.
fn joined<R>(thread: ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
