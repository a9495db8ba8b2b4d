//! Sections on their way: read, computed and written, at once or in turn.

use std::sync::mpsc::sync_channel;
use std::thread::{Builder, ScopedJoinHandle};

use super::extent::Section;
use super::rows::Rows;
use anyhow::{Result, anyhow};

/// Buffers in use: one section is read while another one is computed.
const BUFFERS: usize = 2;

/// What is done with each section.
pub(super) struct Stages<R, C, W> {
    /// Reads a section, into memory that may have been used before.
    pub(super) read: R,
    /// Computes its output, and returns the memory of its input.
    pub(super) compute: C,
    pub(super) write: W,
}

impl<R, C, W> Stages<R, C, W> {
    /// Reads and writes on two threads while this one computes; all in turn if the system refuses the threads.
    pub(super) fn run<T: Send>(self, sections: impl Iterator<Item = Section> + Send) -> Result<()>
    where
        R: FnMut(&Section, Vec<T>) -> Result<Rows<T>> + Send,
        C: FnMut(&Section, Rows<T>) -> Result<(Rows<T>, Vec<T>)>,
        W: FnMut(&Section, Rows<T>) -> Result<()> + Send,
    {
        let Stages { mut read, mut compute, mut write } = self;
        let mut sections = sections;
        let (filled_in, filled) = sync_channel(1);
        let (empty_in, empty) = sync_channel(BUFFERS);
        let (done_in, done) = sync_channel::<(Section, Rows<T>)>(0);
        for _ in 0..BUFFERS {
            // The channel has room for all of them.
            let _ = empty_in.send(Vec::new());
        }
        let staged = std::thread::scope(|scope| {
            let (read, write, sections) = (&mut read, &mut write, &mut sections);
            let write_all =
                move || done.into_iter().try_for_each(|(section, output)| write(&section, output));
            let writing = Builder::new().spawn_scoped(scope, write_all).ok()?;
            let read_all = move || {
                for section in sections {
                    // A stage that has ended reports its own error.
                    let Ok(memory) = empty.recv() else { return Ok(()) };
                    let input = read(&section, memory)?;
                    if filled_in.send((section, input)).is_err() {
                        return Ok(());
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
        });
        // Without the threads nothing has been read.
        staged.unwrap_or_else(|| {
            let mut memory = Vec::new();
            for section in sections {
                let (output, used) = compute(&section, read(&section, memory)?)?;
                write(&section, output)?;
                memory = used;
            }
            Ok(())
        })
    }
}

/// The result of a thread; its panic continues here.
fn joined<R>(thread: ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
