//! Where results go. A file or folder is written beside its target and renamed when it is complete, so
//! that a path holds either what it held before or the whole new content, whatever happens between.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::{Builder, NamedTempFile, TempDir};

use super::source::show;
use crate::Error;

/// What happens to a target that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// It is replaced.
    Replace,
    /// It is an error.
    Refuse,
}

/// Temporary files and folders that exist now, for [`remove_temporary_files`].
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes every temporary file and folder that is being written: for a process that is about to die of
/// a signal.
pub fn remove_temporary_files() {
    // Nobody else gets the list again: a file that is renamed meanwhile is complete.
    let mut paths = TEMPORARY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for path in paths.drain(..) {
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

/// A temporary file or folder that stands in the list for as long as this lives.
#[derive(Debug)]
struct Remembered(PathBuf);

impl Remembered {
    fn new(path: &Path) -> Self {
        let mut paths = TEMPORARY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        paths.push(path.to_owned());
        Remembered(path.to_owned())
    }
}

impl Drop for Remembered {
    fn drop(&mut self) {
        let mut paths = TEMPORARY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        paths.retain(|path| *path != self.0);
    }
}

/// An output that has been found writable.
#[derive(Debug)]
pub struct Sink {
    place: String,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// A regular file: written beside it, then renamed.
    Replace {
        temporary: NamedTempFile,
        path: PathBuf,
        overwrite: Overwrite,
        remembered: Remembered,
    },
    /// A pipe, a device: written as it is.
    Direct(File),
    Stdout,
}

impl Sink {
    /// Checks that `path` can be written. `-` is standard output.
    ///
    /// # Errors
    /// [`Error::Create`].
    pub fn open(path: &Path, overwrite: Overwrite) -> Result<Self, Error> {
        let place = show(path);
        if path == Path::new("-") {
            return Ok(Sink { place: "stdout".to_owned(), target: Target::Stdout });
        }
        let create = |what: String| Error::Create { place: place.clone(), what };
        // A link is followed, so that its target is what gets replaced.
        let path = resolve(path);
        let existing = fs::metadata(&path).ok();
        if let Some(existing) = &existing {
            if existing.is_dir() {
                return Err(create("is a directory; expected a file".to_owned()));
            }
            if overwrite == Overwrite::Refuse {
                return Err(create("exists, and --no-clobber keeps it".to_owned()));
            }
            if !existing.is_file() {
                let file = OpenOptions::new().write(true).open(&path);
                let file = file.map_err(|error| create(error.to_string()))?;
                return Ok(Sink { place, target: Target::Direct(file) });
            }
        }
        if path.file_name().is_none() {
            return Err(create("expected the name of a file".to_owned()));
        }
        let temporary =
            temporary().tempfile_in(folder_of(&path)).map_err(|error| create(said(&error)))?;
        let remembered = Remembered::new(temporary.path());
        if let Some(existing) = existing {
            // What is replaced keeps its mode, as it would under a shell's `>`.
            let _ = fs::set_permissions(temporary.path(), existing.permissions());
        }
        Ok(Sink { place, target: Target::Replace { temporary, path, overwrite, remembered } })
    }

    /// Writes the whole content through `write`. A regular target still holds what it held before.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        fn buffered(
            to: impl Write,
            write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
        ) -> io::Result<()> {
            let mut to = BufWriter::with_capacity(1 << 16, to);
            write(&mut to)?;
            to.flush()
        }
        match &mut self.target {
            Target::Replace { temporary, .. } => buffered(temporary.as_file_mut(), write)
                .and_then(|()| temporary.as_file().sync_all()),
            Target::Direct(file) => buffered(file, write),
            Target::Stdout => buffered(io::stdout().lock(), write),
        }
        .map_err(|source| Error::Write { place: self.place.clone(), source })
    }

    /// Puts the written content in its place, in one step.
    ///
    /// # Errors
    /// [`Error::Write`], and [`Error::Create`] where a file that must be kept has come up meanwhile.
    pub fn commit(self) -> Result<(), Error> {
        let Target::Replace { temporary, path, overwrite, remembered } = self.target else {
            return Ok(());
        };
        let renamed = match overwrite {
            Overwrite::Replace => temporary.persist(&path),
            Overwrite::Refuse => temporary.persist_noclobber(&path),
        };
        let place = self.place;
        renamed.map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => Error::Create {
                place: place.clone(),
                what: "exists, and --no-clobber keeps it".to_owned(),
            },
            _ => Error::Write { place: place.clone(), source: error.error },
        })?;
        drop(remembered);
        sync_folder(folder_of(&path)).map_err(|source| Error::Write { place, source })
    }
}

/// A folder that is replaced as one.
#[derive(Debug)]
pub struct Folder {
    place: String,
    path: PathBuf,
    temporary: TempDir,
    remembered: Remembered,
}

impl Folder {
    /// Checks that a folder can be written at `path`. One that exists may hold only files that `own`
    /// knows by their names.
    ///
    /// # Errors
    /// [`Error::Create`].
    pub fn open(
        path: &Path,
        overwrite: Overwrite,
        own: impl Fn(&str) -> bool,
    ) -> Result<Self, Error> {
        let place = show(path);
        let create = |what: String| Error::Create { place: place.clone(), what };
        let path = resolve(path);
        if let Ok(existing) = fs::metadata(&path) {
            if !existing.is_dir() {
                return Err(create("exists and is not a folder".to_owned()));
            }
            if overwrite == Overwrite::Refuse {
                return Err(create("exists, and --no-clobber keeps it".to_owned()));
            }
            for entry in fs::read_dir(&path).map_err(|error| create(said(&error)))? {
                let entry = entry.map_err(|error| create(said(&error)))?;
                let name = entry.file_name();
                let known = name.to_str().is_some_and(&own);
                if !known || entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    return Err(create(format!(
                        "expected a folder of weights alone, got {} in it",
                        show(Path::new(&name))
                    )));
                }
            }
        }
        let temporary = temporary_folder().tempdir_in(folder_of(&path));
        let temporary = temporary.map_err(|error| create(said(&error)))?;
        let remembered = Remembered::new(temporary.path());
        Ok(Folder { place, path, temporary, remembered })
    }

    /// Writes one file of the folder.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        let place = Path::new(&self.place).join(name).to_string_lossy().into_owned();
        let whole = || {
            let mut file = BufWriter::new(File::create(self.temporary.path().join(name))?);
            write(&mut file)?;
            file.into_inner()?.sync_all()
        };
        whole().map_err(|source| Error::Write { place, source })
    }

    /// Puts the folder in its place. On Linux the old and the new one change places in one step.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn commit(self) -> Result<(), Error> {
        let Folder { place, path, temporary, remembered } = self;
        let replace = || {
            sync_folder(temporary.path())?;
            if path.exists() {
                exchange(temporary.path(), &path)?;
            } else {
                fs::rename(temporary.path(), &path)?;
            }
            sync_folder(folder_of(&path))
        };
        let replaced = replace().map_err(|source| Error::Write { place, source });
        // What stands under the temporary name now is the old folder, or nothing.
        let _ = temporary.close();
        drop(remembered);
        replaced
    }
}

/// Lets two folders change their names.
#[cfg(target_os = "linux")]
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE)?)
}

/// Lets two folders change their names, by way of a third one: not in one step.
#[cfg(not(target_os = "linux"))]
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    let aside = new.with_extension("old.tmp");
    fs::rename(old, &aside)?;
    fs::rename(new, old)?;
    fs::rename(&aside, new)
}

/// How temporary files are named, with the mode that the umask gives.
fn temporary() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(".rnn-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// How temporary folders are named, with the mode that the umask gives.
fn temporary_folder() -> Builder<'static, 'static> {
    let mut builder = temporary();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder
}

/// The path that a chain of links leads to; the last one may not exist.
fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // Linux follows 40 links before it gives up.
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => break,
        }
    }
    path
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Makes a rename last. Not every file system can; the rename itself has been done.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// What the system said, without the temporary name that the error carries.
fn said(error: &io::Error) -> String {
    let inner = error.raw_os_error().map(io::Error::from_raw_os_error);
    inner.map_or_else(|| without_path(error), |error| error.to_string())
}

fn without_path(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" at path ").next().unwrap_or(&text).to_owned()
}
