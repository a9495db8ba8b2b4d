//! Inputs as files: the library opens paths. They stand in memory where the system has such a place.

use std::cell::RefCell;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use elman::files::{Overwrite, Sink, Source};
use tempfile::{Builder, NamedTempFile, TempDir};

thread_local! {
    /// The file that every input of this thread goes into: making one takes longer than reading it.
    static INPUT: RefCell<NamedTempFile> =
        RefCell::new(Builder::new().prefix("elman-fuzz-").tempfile_in(place()).unwrap());
    /// The folder that every output of this thread goes into.
    static OUTPUTS: TempDir = Builder::new().prefix("elman-fuzz-").tempdir_in(place()).unwrap();
}

fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// A file with these bytes. The next call takes it away.
pub(crate) fn source(bytes: &[u8]) -> Source {
    INPUT.with_borrow_mut(|input| {
        let file = input.as_file_mut();
        file.rewind().unwrap();
        file.write_all(bytes).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        Source::Path(input.path().to_owned())
    })
}

/// A folder of this name with this file. A file of another name stays.
pub(crate) fn folder(folder: &str, name: &str, bytes: &[u8]) -> PathBuf {
    let path = OUTPUTS.with(|outputs| outputs.path().join(folder));
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join(name), bytes).unwrap();
    path
}

/// The file that `write` writes, under this name.
pub(crate) fn written(name: &str, write: impl FnOnce(&mut Sink)) -> Source {
    let path = OUTPUTS.with(|folder| folder.path().join(name));
    let mut sink = Sink::open(&path, Overwrite::Replace).unwrap();
    write(&mut sink);
    sink.commit().unwrap();
    Source::Path(path)
}

/// The bytes of a file.
pub(crate) fn bytes(source: &Source) -> Vec<u8> {
    let Source::Path(path) = source else { panic!("{source}: a path") };
    std::fs::read(path).unwrap()
}
