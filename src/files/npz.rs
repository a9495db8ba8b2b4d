//! .npz archives, written.

use std::io::{self, Write};

use zip::ZipWriter;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;

use super::limit::MAX_MEMBERS;
use super::{AnyArray, Sink};
use crate::files::error::FileError;

/// Writes arrays as an .npz archive, stored as NumPy stores them, with the text as its comment.
///
/// ```
/// use elman::Config;
/// use elman::files::{Overwrite, Sink, write_npz};
/// use ndarray::ArrayD;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("w.npz");
/// let weight_ih = ArrayD::<f32>::zeros(vec![20, 10]);
/// let weight_hh = ArrayD::<f32>::zeros(vec![20, 20]);
/// let config = Config { bias: false, ..Config::new(10, 20) };
/// let mut sink = Sink::open(&path, Overwrite::Replace)?;
/// let members = [("weight_ih_l0", &weight_ih as _), ("weight_hh_l0", &weight_hh as _)];
/// write_npz(&mut sink, &members, &config.to_json().to_string())?;
/// sink.commit()?;
/// assert!(path.exists());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`FileError::Write`]; also where the text is too long for a comment, which holds 65535 bytes, or where there are
/// more than the 100000 members that are read again.
pub fn write_npz(
    sink: &mut Sink,
    members: &[(&str, &dyn AnyArray)],
    text: &str,
) -> Result<(), FileError> {
    sink.write(|file| {
        write_archive(file, members, text).map_err(|error| match error {
            ZipError::Io(source) => source,
            error => io::Error::other(error),
        })
    })
}

fn write_archive(
    file: &mut dyn Write,
    members: &[(&str, &dyn AnyArray)],
    text: &str,
) -> Result<(), ZipError> {
    if members.len() as u64 > MAX_MEMBERS {
        let what = format!("archive of {} members; limit {MAX_MEMBERS}", members.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what).into());
    }
    let mut zip = ZipWriter::new_stream(file);
    for (name, array) in members {
        zip.start_file(format!("{name}.npy"), options(array.bytes()))?;
        array.write(&mut zip)?;
    }
    zip.set_comment(text)?;
    zip.finish()?;
    Ok(())
}

/// How a member of so many bytes is stored. The same tensors give the same bytes: no clock, no compression
/// whose library may change.
pub(super) fn options(bytes: usize) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .large_file(bytes >= u32::MAX as usize / 2)
}
