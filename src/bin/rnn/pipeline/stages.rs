//! Sections on their way: read, computed and written, at once or in turn.

use std::sync::mpsc::sync_channel;
use std::thread::{Builder, ScopedJoinHandle};

use anyhow::{Result, anyhow};

use super::pass::{Rows, Section};

/// Buffers in use: one section is read while another one is computed.
const BUFFERS: usize = 2;

/// Reads a section, into memory that may have been used before.
type Read<'a, T> = &'a mut (dyn FnMut(&Section, Vec<T>) -> Result<Rows<T>> + Send + 'a);
/// Computes the output of a section, and returns the memory of its input.
type Compute<'a, T> = &'a mut (dyn FnMut(&Section, Rows<T>) -> Result<(Rows<T>, Vec<T>)> + 'a);
/// Writes the output of a section.
type Write<'a, T> = &'a mut (dyn FnMut(&Section, Rows<T>) -> Result<()> + Send + 'a);

/// The work on each section.
pub(super) struct Stages<'a, T> {
    pub(super) read: Read<'a, T>,
    pub(super) compute: Compute<'a, T>,
    pub(super) write: Write<'a, T>,
}

impl<T: Send> Stages<'_, T> {
    /// Passes all sections through the stages.
    pub(super) fn run(mut self, mut sections: impl Iterator<Item = Section> + Send) -> Result<()> {
        if let Some(ended) = self.at_once(&mut sections) {
            return ended;
        }
        let mut memory = Vec::new();
        for section in sections {
            let input = (self.read)(&section, memory)?;
            let (output, used) = (self.compute)(&section, input)?;
            (self.write)(&section, output)?;
            memory = used;
        }
        Ok(())
    }

    /// Reads and writes on two threads while this one computes. `None` if the system refuses the threads: then
    /// nothing has been read.
    fn at_once(
        &mut self,
        sections: &mut (dyn Iterator<Item = Section> + Send),
    ) -> Option<Result<()>> {
        let Stages { read, compute, write } = self;
        let (filled_in, filled) = sync_channel(1);
        let (empty_in, empty) = sync_channel(BUFFERS);
        let (done_in, done) = sync_channel::<(Section, Rows<T>)>(0);
        // The channel has room for all of them.
        (0..BUFFERS).for_each(|_| drop(empty_in.send(Vec::new())));
        std::thread::scope(|scope| {
            let write_all =
                move || done.into_iter().try_for_each(|(section, output)| write(&section, output));
            let writing = Builder::new().spawn_scoped(scope, write_all).ok()?;
            let read_all = move || {
                for section in sections {
                    // A stage that has ended reports its own error.
                    let Ok(memory) = empty.recv() else { break };
                    let input = read(&section, memory)?;
                    if filled_in.send((section, input)).is_err() {
                        break;
                    }
                }
                Ok(())
            };
            let reading = Builder::new().spawn_scoped(scope, read_all).ok()?;
            let computed = filled.into_iter().try_for_each(|(section, input)| {
                let (output, memory) = compute(&section, input)?;
                // A reader that has ended needs no memory. A writer that has ended reports its own error, and
                // the rest need not be computed.
                let _ = empty_in.send(memory);
                done_in.send((section, output)).map_err(|_| anyhow!("the writer has ended"))
            });
            drop((empty_in, done_in));
            let (read, written) = (joined(reading), joined(writing));
            Some(read.and(written).and(computed))
        })
    }
}

/// The result of a thread; its panic continues here.
fn joined<R>(thread: ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
