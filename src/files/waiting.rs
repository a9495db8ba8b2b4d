//! Streams that other processes share: an operation waits until the stream is ready.

#[cfg(unix)]
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
#[cfg(unix)]
use std::os::fd::AsFd;

use super::handle::{Handle, read, write};

/// A standard stream that waits until it is ready, even if another process that shares the pipe has made it
/// non-blocking. An error there means only that the pipe is not ready yet.
#[derive(Debug)]
pub(super) struct Waiting<S>(pub(super) S);

/// Standard output without the library's buffer, which would cut binary data at its last line break and need two
/// writes for one answer.
#[cfg(unix)]
pub(super) type StandardOutput = Waiting<fs::File>;
#[cfg(not(unix))]
pub(super) type StandardOutput = Waiting<io::Stdout>;

/// Standard output, through another descriptor if the system has them.
pub(super) fn standard_output() -> io::Result<StandardOutput> {
    let stdout = io::stdout();
    #[cfg(unix)]
    let stdout = fs::File::from(stdout.as_fd().try_clone_to_owned()?);
    Ok(Waiting(stdout))
}

/// Streams are ready at once on systems without descriptors.
#[cfg(not(unix))]
pub(super) trait AsFd {}
#[cfg(not(unix))]
impl<S> AsFd for S {}

impl<S: Read + AsFd> Read for Waiting<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry(Ready::ToRead, |stream| read(stream, buffer))
    }
}

impl<S: Write + AsFd> Write for Waiting<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.retry(Ready::ToWrite, |stream| write(stream, buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.retry(Ready::ToWrite, Write::flush)
    }
}

impl<S: AsFd> Waiting<S> {
    /// Repeats an operation until the stream is ready.
    fn retry<T>(
        &mut self,
        ready: Ready,
        mut operation: impl FnMut(&mut S) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match operation(&mut self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait(&self.0, ready)?,
                result => return result,
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Ready {
    ToRead,
    ToWrite,
}

/// Makes the reads of a pipe or a device wait for bytes, and waits for the first writer of a named pipe.
pub(super) fn wait_for_bytes(file: &Handle) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        let flags = fcntl_getfl(&file.0)?;
        fcntl_setfl(&file.0, flags - OFlags::NONBLOCK)?;
        // Before its first writer, a named pipe looks as if its last writer had gone.
        wait(&file.0, Ready::ToRead)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
    Ok(())
}

/// Waits until a stream is ready.
#[cfg(target_os = "linux")]
fn wait(stream: &impl AsFd, ready: Ready) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let flags = if ready == Ready::ToRead { PollFlags::IN } else { PollFlags::OUT };
    loop {
        match poll(&mut [PollFd::new(stream, flags)], None) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn wait(_: &impl AsFd, _: Ready) -> io::Result<()> {
    std::thread::sleep(std::time::Duration::from_millis(1));
    Ok(())
}
