//! Standard input and output that wait. A pipe may have been set to be non-blocking by another process
//! that holds it too; what is an error there means only that it is not ready yet.

use std::io::{self, Read, Write};

use super::handle;

/// Which standard stream is waited for.
#[derive(Clone, Copy, Debug)]
enum Ready {
    ToRead,
    ToWrite,
}

/// A standard stream, read or written as if it were blocking.
#[derive(Debug)]
pub(super) struct Waiting<S> {
    stream: S,
    ready: Ready,
}

/// Standard input.
pub(super) fn standard_input() -> Waiting<io::Stdin> {
    Waiting { stream: io::stdin(), ready: Ready::ToRead }
}

/// Standard output without the library's own buffer, which would cut binary data at its last line break
/// and take two writes for one answer.
#[cfg(unix)]
pub(super) type StandardOutput = Waiting<std::fs::File>;

/// Standard output.
#[cfg(not(unix))]
pub(super) type StandardOutput = Waiting<io::Stdout>;

/// Standard output, opened once more.
#[cfg(unix)]
pub(super) fn standard_output() -> io::Result<StandardOutput> {
    use std::os::fd::AsFd;
    let file = std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?);
    Ok(Waiting { stream: file, ready: Ready::ToWrite })
}

/// Standard output.
#[cfg(not(unix))]
pub(super) fn standard_output() -> io::Result<StandardOutput> {
    Ok(Waiting { stream: io::stdout(), ready: Ready::ToWrite })
}

impl<S> Waiting<S> {
    /// Does something with the stream, again and again until it is ready for that.
    fn again<T>(&mut self, mut work: impl FnMut(&mut S) -> io::Result<T>) -> io::Result<T> {
        loop {
            match work(&mut self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(self.ready)?,
                result => return result,
            }
        }
    }
}

impl<S: Read> Read for Waiting<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.again(|stream| handle::read(stream, buffer))
    }
}

impl<S: Write> Write for Waiting<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.again(|stream| handle::write(stream, buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.again(Write::flush)
    }
}

/// Waits until a standard stream is ready.
#[cfg(target_os = "linux")]
fn wait(ready: Ready) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let mut streams = [match ready {
        Ready::ToRead => PollFd::new(&stdin, PollFlags::IN),
        Ready::ToWrite => PollFd::new(&stdout, PollFlags::OUT),
    }];
    match poll(&mut streams, None) {
        // The caller tries again, and waits again.
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits a little.
#[cfg(not(target_os = "linux"))]
fn wait(_: Ready) -> io::Result<()> {
    std::thread::sleep(std::time::Duration::from_millis(1));
    Ok(())
}
