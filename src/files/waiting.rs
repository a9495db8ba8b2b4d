//! Standard input and output as blocking streams, even if another process that shares the pipe has made it
//! non-blocking. An error there means only that the pipe is not ready yet.

use std::io::{self, Read, Write};

use super::handle;

/// A standard stream that waits until it is ready.
#[derive(Debug)]
pub(super) struct Waiting<S>(S);

/// Standard output without the library's buffer, which would cut binary data at its last line break and need two
/// writes for one answer.
#[cfg(unix)]
pub(super) type StandardOutput = Waiting<std::fs::File>;
/// Standard output.
#[cfg(not(unix))]
pub(super) type StandardOutput = Waiting<io::Stdout>;

/// Standard input.
pub(super) fn standard_input() -> Waiting<io::Stdin> {
    Waiting(io::stdin())
}

/// Standard output, through another descriptor if the system has them.
pub(super) fn standard_output() -> io::Result<StandardOutput> {
    let stdout = io::stdout();
    #[cfg(unix)]
    let stdout = std::fs::File::from(std::os::fd::AsFd::as_fd(&stdout).try_clone_to_owned()?);
    Ok(Waiting(stdout))
}

impl<S: Read> Read for Waiting<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        retry(Ready::ToRead, || handle::read(&mut self.0, buffer))
    }
}

impl<S: Write> Write for Waiting<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        retry(Ready::ToWrite, || handle::write(&mut self.0, buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        retry(Ready::ToWrite, || self.0.flush())
    }
}

/// The state of a standard stream to wait for.
#[derive(Clone, Copy)]
enum Ready {
    ToRead,
    ToWrite,
}

/// Repeats an operation until its stream is ready.
fn retry<T>(ready: Ready, mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(ready)?,
            result => return result,
        }
    }
}

/// Waits until a standard stream is ready.
#[cfg(target_os = "linux")]
fn wait(ready: Ready) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let stream = match ready {
        Ready::ToRead => PollFd::new(&stdin, PollFlags::IN),
        Ready::ToWrite => PollFd::new(&stdout, PollFlags::OUT),
    };
    match poll(&mut [stream], None) {
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
