//! Paths that name an open file of a process, such as `/dev/stdout`, `/dev/fd/3` and `/proc/self/fd/3`. An output there
//! is written through the descriptor: it may be appended to a log, or have no name any more.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::file_id::FileId;
use super::path::written_file;

/// Whether an output at a path replaces a file or a folder, or creates one. Others are written in place.
pub fn is_replaced(path: &Path) -> bool {
    written_file(path).is_some() && Descriptor::of(path).is_none()
}

/// Whether an output at a path is standard output.
pub fn is_standard_output(path: &Path) -> bool {
    path == Path::new("-")
        || Descriptor::of(path).is_some_and(|_| {
            FileId::at(path).is_some_and(|id| FileId::of_stream(&io::stdout()) == Some(id))
        })
}

/// An open file of a process.
#[derive(Debug)]
pub(super) struct Descriptor<'a> {
    path: &'a Path,
    number: i32,
    process: Process,
}

#[derive(Clone, Copy, Debug)]
enum Process {
    /// This one.
    Own,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux duplicates it"))]
    Other(i32),
}

impl<'a> Descriptor<'a> {
    /// The descriptor that a path leads to; `None` if it leads to something else.
    pub(super) fn of(path: &'a Path) -> Option<Self> {
        let mut at = path.to_owned();
        // Linux follows at most 40 links.
        for _ in 0..40 {
            let digits = at.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let number = digits.parse().ok().filter(|_| digits.bytes().all(|c| c.is_ascii_digit()));
            if let Some(number) = number
                && let Some(process) = process_of(super::path::folder_of(&at))
            {
                return Some(Descriptor { path, number, process });
            }
            at = super::path::folder_of(&at).join(fs::read_link(&at).ok()?);
        }
        None
    }

    /// Opens it for writing.
    pub(super) fn open(&self) -> io::Result<File> {
        let id = FileId::at(self.path);
        match self.duplicate() {
            Ok(file) if Some(FileId::of(&file.metadata()?)) == id => {
                check_writable(&file)?;
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            // The kernel is old, or refuses to share the descriptor: what stands in the file stays there.
            _ => File::options().append(true).open(self.path),
        }
    }

    #[cfg(unix)]
    fn duplicate(&self) -> io::Result<File> {
        use std::os::fd::AsFd;
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let standard = match (self.number, self.process) {
            (0, Process::Own) => stdin.as_fd(),
            (1, Process::Own) => stdout.as_fd(),
            (2, Process::Own) => stderr.as_fd(),
            _ => return self.duplicate_other(),
        };
        Ok(standard.try_clone_to_owned()?.into())
    }

    #[cfg(not(unix))]
    fn duplicate(&self) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(target_os = "linux")]
    fn duplicate_other(&self) -> io::Result<File> {
        use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
        let process = match self.process {
            Process::Own => getpid(),
            Process::Other(process) => Pid::from_raw(process).ok_or(io::ErrorKind::NotFound)?,
        };
        let process = pidfd_open(process, PidfdFlags::empty())?;
        Ok(pidfd_getfd(process, self.number, PidfdGetfdFlags::empty())?.into())
    }

    #[cfg(all(unix, not(target_os = "linux")))]
    fn duplicate_other(&self) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The process whose descriptors a folder lists; `None` if it is another folder.
fn process_of(folder: &Path) -> Option<Process> {
    let folder = fs::canonicalize(folder).ok()?;
    // Other systems have a device for each descriptor of this process.
    if folder == Path::new("/dev/fd") {
        return Some(Process::Own);
    }
    let process = folder.strip_prefix("/proc").ok().filter(|_| folder.ends_with("fd"))?;
    if fs::canonicalize("/proc/self").is_ok_and(|own| folder.starts_with(own)) {
        return Some(Process::Own);
    }
    Some(Process::Other(process.iter().next()?.to_str()?.parse().ok()?))
}

/// Fails as a write to a descriptor that is open for reading alone would.
fn check_writable(file: &File) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{OFlags, fcntl_getfl};
        if fcntl_getfl(file)? & OFlags::ACCMODE == OFlags::RDONLY {
            return Err(rustix::io::Errno::BADF.into());
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
    Ok(())
}
