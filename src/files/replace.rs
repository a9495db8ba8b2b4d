//! Files and folders that take the place of others, together: if one cannot, those before it are put back.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::handle::{Handle, rename, sync_folder};
use super::path::folder_of;
use super::rename::{exchange, rename_to_free};
use super::show;
use super::temporary::{Temporary, uninterrupted};
use crate::files::error::FileError;

/// The reason for [`Overwrite::Refuse`].
pub(super) const KEPT: &str = "exists, and --no-clobber keeps it";
/// The reason for keeping a file that was created after the output was opened.
const CAME_UP: &str = "has come up meanwhile, and is kept";

/// The treatment of a target that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// It is replaced.
    Replace,
    /// It is an error.
    Refuse,
}

/// Moves outputs to their paths, all or none.
pub(super) fn put_in_place(replacements: Vec<Replacement>) -> Result<(), FileError> {
    sync_folders(&put_together(replacements)?, &mut Vec::new())
}

/// Moves outputs to their paths, all or none. They are permanent once [`sync_folders`] has been called.
pub(super) fn put_together(
    mut replacements: Vec<Replacement>,
) -> Result<Vec<Replacement>, FileError> {
    // The clean-up after a signal would remove old content that may have to be put back.
    uninterrupted(|| put_all(&mut replacements))?;
    Ok(replacements)
}

/// Syncs the folders of outputs that are in their places, except those that have been `synced`, and adds them there.
pub(super) fn sync_folders(
    replacements: &[Replacement],
    synced: &mut Vec<PathBuf>,
) -> Result<(), FileError> {
    for Replacement { place, path, .. } in replacements {
        let folder = folder_of(path);
        if synced.iter().all(|other| other != folder) {
            sync_folder(folder).map_err(FileError::writing(place))?;
            synced.push(folder.to_owned());
        }
    }
    Ok(())
}

fn put_all(replacements: &mut [Replacement]) -> Result<(), FileError> {
    let last = replacements.len().saturating_sub(1);
    for index in 0..replacements.len() {
        if let Err(error) = replacements[index].put(index < last) {
            replacements[..index].iter_mut().rev().for_each(Replacement::put_back);
            return Err(error);
        }
    }
    Ok(())
}

/// A file or a folder under a temporary name, and the path that it is for.
#[derive(Debug)]
pub(super) struct Replacement {
    place: String,
    path: PathBuf,
    temporary: Temporary,
    /// The file or the folder that was there when the output was opened.
    existing: Option<Metadata>,
    overwrite: Overwrite,
    /// Of a folder, the names of files in it that may be replaced.
    own: Option<fn(&str) -> bool>,
    /// Locks of this output and, after an exchange, of the old one: other processes do not remove them.
    locks: Vec<Handle>,
    done: Done,
}

/// What has been done with the two names.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Done {
    Nothing,
    /// The temporary name leads to the old content.
    Exchanged,
    /// The temporary name is free.
    Moved,
}

impl Replacement {
    /// An output at `temporary` for a path, at which `existing` was found.
    pub(super) fn new(
        (place, path): (String, PathBuf),
        temporary: Temporary,
        (existing, overwrite): (Option<Metadata>, Overwrite),
        own: Option<fn(&str) -> bool>,
    ) -> Self {
        let (locks, done) = (Vec::new(), Done::Nothing);
        Replacement { place, path, temporary, existing, overwrite, own, locks, done }
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// The path of the output that is written.
    pub(super) fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// The path of a file or folder that this one replaces.
    pub(super) fn replaced(&self) -> Option<(&Path, &Metadata)> {
        self.existing.as_ref().map(|existing| (self.path.as_path(), existing))
    }

    /// Keeps a lock until the output is in its place.
    pub(super) fn hold(mut self, lock: Option<Handle>) -> Self {
        self.locks.extend(lock);
        self
    }

    /// Moves the output to its path. If `restorable`, the old content is kept until this value is dropped.
    fn put(&mut self, restorable: bool) -> Result<(), FileError> {
        let replaces = self.own.is_none() && self.overwrite == Overwrite::Replace;
        if replaces && !restorable {
            let renamed = rename(|| fs::rename(self.temporary.path(), &self.path));
            renamed.map_err(FileError::writing(&self.place))?;
        } else {
            if self.existing.is_some() && self.exchange()? {
                return Ok(());
            }
            match rename(|| rename_to_free(self.temporary.path(), &self.path)) {
                Err(error) if !is_taken(&error) => {
                    return Err(FileError::writing(&self.place)(error));
                }
                Err(_) if replaces && self.exchange()? => return Ok(()),
                Err(_) => {
                    let kept = self.overwrite == Overwrite::Refuse && self.own.is_none();
                    let what = if kept { KEPT } else { CAME_UP };
                    return Err(FileError::refused(&self.place, what));
                }
                Ok(()) => {}
            }
        }
        self.done = Done::Moved;
        Ok(())
    }

    /// Exchanges the output and the old content. False if there is none.
    fn exchange(&mut self) -> Result<bool, FileError> {
        let (new, path) = (self.temporary.path(), self.path.as_path());
        // The lock keeps other processes from removing the old content while it may have to be put back.
        if let Ok(old) = Handle::open(path) {
            let _ = old.0.try_lock();
            self.locks.push(old);
        }
        match rename(|| exchange(new, path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            result => result.map_err(FileError::writing(&self.place))?,
        }
        self.done = Done::Exchanged;
        // From here on no path leads other programs to the old content, so that it is final.
        let Some(what) = foreign(self.temporary.path(), self.own) else { return Ok(true) };
        self.put_back();
        Err(FileError::refused(&self.place, what))
    }

    /// Puts the old content back.
    fn put_back(&mut self) {
        let (new, path) = (self.temporary.path(), self.path.as_path());
        let back = match self.done {
            Done::Nothing => return,
            Done::Exchanged => exchange(new, path),
            Done::Moved => rename_to_free(path, new),
        };
        match back {
            Ok(()) => self.done = Done::Nothing,
            // The old content stays under the temporary name.
            Err(_) => self.temporary.leave(),
        }
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if self.done == Done::Moved {
            self.temporary.leave();
        }
    }
}

/// Whether a name was not free.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty)
}

/// The reason why a file, or a folder of files with `own` names, must not be replaced.
pub(super) fn foreign(path: &Path, own: Option<fn(&str) -> bool>) -> Option<String> {
    let Some(own) = own else {
        let other = path.symlink_metadata().is_ok_and(|found| !found.is_file());
        return other.then(|| CAME_UP.to_owned());
    };
    let find = || {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name();
            if !name.to_str().is_some_and(own) || entry.file_type().is_ok_and(|kind| kind.is_dir())
            {
                let name = show(Path::new(&name));
                return Ok(Some(format!("expected a folder of weights alone, got {name} in it")));
            }
        }
        Ok(None)
    };
    find().unwrap_or_else(|error: io::Error| {
        // A removed folder holds no file of another program.
        (error.kind() != ErrorKind::NotFound).then(|| error.to_string())
    })
}
