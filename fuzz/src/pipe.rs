//! Pipes. What comes through one is what it is in a file, or is refused with the same words.

use std::io::Write;
use std::os::fd::AsRawFd;

use elman::files::{Accepts, Entry, File, FileError, Graph, Source, open};

use super::{scratch, ways};

/// Most bytes that a pipe takes before somebody reads.
const MAX_BYTES: usize = 1 << 14;

/// One input in four: a second reading takes its time.
pub(crate) fn check(data: &[u8]) {
    if data.len() > MAX_BYTES || !data.len().is_multiple_of(4) {
        return;
    }
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(data).unwrap();
    drop(writer);
    // Opened by the library: another end of the same pipe.
    let pipe = Source::Path(format!("/dev/fd/{}", reader.as_raw_fd()).into());
    let through = said(&pipe);
    assert_eq!(through, said(&scratch::source(data)), "through a pipe, and in a file");
}

/// All that is said of a source, or why it is refused, without its name.
fn said(source: &Source) -> String {
    let said = found(source).unwrap_or_else(|error| error.to_string());
    ways::printable(&said);
    said.replace(&source.to_string(), "the source")
}

fn found(source: &Source) -> Result<String, FileError> {
    Ok(match open(source, Accepts::Anything)? {
        File::Tensor(mut file) => {
            let head = format!("{:?} {:?}", file.header(), file.column_names());
            format!("{head} {:?}", ways::all_bits(file.reader()?)?)
        }
        File::Bundle(mut bundle) => {
            let mut all = Vec::new();
            for index in 0..bundle.entries().len() {
                let Entry { shape, .. } = &bundle.entries()[index];
                if shape.iter().product::<usize>() <= ways::MAX_NUMBERS {
                    all.push(ways::all_bits(bundle.reader(index)?)?);
                }
            }
            format!("{bundle:?} {:?} {all:?}", bundle.attributes())
        }
        // A pipe has no folder.
        File::Graph(graph) => format!("{:?}", Graph { folder: None, ..graph }),
    })
}
