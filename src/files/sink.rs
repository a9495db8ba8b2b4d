//! Outputs. A file is written beside its target and renamed when it is complete, so that a path always holds either
//! its previous content or the whole new content.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::descriptor::Descriptor;
use super::handle::{Handle, write_buffered, write_whole};
use super::mode::permissions;
use super::obstacle::obstacle;
use super::path::{folder_of, resolve};
use super::replace::{KEPT, Overwrite, Replacement, put_in_place};
use super::show;
use super::temporary::Temporary;
use super::waiting::{StandardOutput, Waiting, standard_output};
use crate::files::error::FileError;

/// An output that can be written.
///
/// ```
/// use elman::files::{Overwrite, Sink, write_npy};
/// use ndarray::ArrayD;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("output.npy");
/// std::fs::write(&path, "old")?;
/// let mut sink = Sink::open(&path, Overwrite::Replace)?;
/// sink.write(|file| write_npy(file, &ArrayD::<f32>::zeros(vec![5, 3, 20]).view()))?;
/// assert_eq!(std::fs::read(&path)?, b"old");
/// sink.commit()?;
/// assert_eq!(std::fs::metadata(&path)?.len(), 128 + 5 * 3 * 20 * 4);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sink {
    pub(super) place: String,
    pub(super) target: Target,
}

#[derive(Debug)]
pub(super) enum Target {
    /// A regular file: written beside it, then renamed.
    Replace {
        file: Handle,
        replacement: Box<Replacement>,
        /// Whether its content is synced later, together with other files.
        later: bool,
    },
    /// A pipe or a device, written in place.
    Direct(Handle),
    /// A descriptor that has a path, such as `/dev/stdout`.
    Descriptor(Waiting<fs::File>),
    Stdout(StandardOutput),
}

impl Target {
    /// The unbuffered writer.
    pub(super) fn direct(&mut self) -> &mut dyn Write {
        match self {
            Target::Replace { file, .. } | Target::Direct(file) => file,
            Target::Descriptor(file) => file,
            Target::Stdout(stdout) => stdout,
        }
    }

    /// Completes unbuffered writes.
    pub(super) fn end(&mut self) -> io::Result<()> {
        match self {
            Target::Replace { later: true, .. } => Ok(()),
            Target::Replace { file, .. } => file.sync_all(),
            other => other.direct().flush(),
        }
    }
}

impl Sink {
    /// Checks that `path` can be written. `-` is standard output.
    pub fn open(path: &Path, overwrite: Overwrite) -> Result<Self, FileError> {
        let place = show(path);
        if path == Path::new("-") {
            let stdout = standard_output().map_err(FileError::creating(&place))?;
            return Ok(Sink { place: "stdout".to_owned(), target: Target::Stdout(stdout) });
        }
        if let Some(descriptor) = Descriptor::of(path) {
            let file = descriptor.open().map_err(FileError::creating(&place))?;
            return Ok(Sink { place, target: Target::Descriptor(Waiting(file)) });
        }
        let existing = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // A name that is too long or a circle of links is reported now, rather than at the rename.
            found => Some(found.map_err(FileError::creating(&place))?),
        };
        match &existing {
            Some(found) if found.is_dir() => {
                Err(FileError::refused(&place, "is a directory; expected a file"))
            }
            Some(_) if overwrite == Overwrite::Refuse => Err(FileError::refused(&place, KEPT)),
            Some(found) if !found.is_file() => {
                let file = fs::File::options().write(true).open(path);
                let file = Handle(file.map_err(FileError::creating(&place))?);
                Ok(Sink { place, target: Target::Direct(file) })
            }
            _ => Self::beside(path, place, (existing, overwrite)),
        }
    }

    /// A file that is written beside its target.
    fn beside(
        path: &Path,
        place: String,
        (existing, overwrite): (Option<fs::Metadata>, Overwrite),
    ) -> Result<Self, FileError> {
        // A link is followed, so that its target is replaced.
        let path = resolve(path);
        if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(FileError::refused(&place, "expected the name of a file"));
        }
        if let Some(what) = existing.as_ref().and_then(|_| obstacle(&path)) {
            return Err(FileError::refused(&place, what));
        }
        let (file, temporary) =
            Temporary::file(folder_of(&path)).map_err(FileError::creating(&place))?;
        let names = (place.clone(), path);
        let replacement = Replacement::new(names, temporary, (existing, overwrite), None);
        let replacement = Box::new(replacement);
        Ok(Sink { place, target: Target::Replace { file, replacement, later: false } })
    }

    /// Leaves the sync of a regular target to its commit: [`commit_each`](super::commit_each) syncs many at once.
    #[must_use]
    pub fn sync_later(mut self) -> Self {
        if let Target::Replace { later, .. } = &mut self.target {
            *later = true;
        }
        self
    }

    /// The file, if its content is still to be synced.
    pub(super) fn unsynced(&mut self) -> Option<(&Handle, &mut bool)> {
        match &mut self.target {
            Target::Replace { file, later, .. } if *later => Some((file, later)),
            _ => None,
        }
    }

    /// Writes the whole content through `write`. A regular target keeps its previous content until the commit.
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let written = match &mut self.target {
            Target::Replace { file, later, .. } => write_whole(file, *later, write),
            other => write_buffered(other.direct(), write),
        };
        written.map_err(FileError::writing(&self.place))
    }

    /// Moves the written content to its path, in one step.
    ///
    /// # Errors
    /// Those of [`commit_all`](super::commit_all).
    pub fn commit(self) -> Result<(), FileError> {
        put_in_place(self.into_replacement().into_iter().collect::<Result<_, _>>()?)
    }

    /// `None` if the content has been written in place.
    pub(super) fn into_replacement(self) -> Option<Result<Replacement, FileError>> {
        let Target::Replace { file, replacement, later } = self.target else { return None };
        let permissions = permissions(replacement.replaced().map(|(_, found)| found), false);
        let synced = if later { file.sync_all() } else { Ok(()) };
        let set = synced.and_then(|()| file.set_permissions(permissions));
        let set = set.map_err(FileError::writing(&self.place));
        Some(set.map(|()| replacement.hold(Some(file))))
    }
}
