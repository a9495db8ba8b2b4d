//! Archives. Their members are those that the crate `zip` finds, with the same numbers.

use std::io::{Cursor, Read};

use elman::Checkpoint;
use elman::files::{Accepts, File, Header, Source, open};
use ndarray::ArrayD;
use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use super::stored::agrees;
use super::{pipe, scratch, ways, weights};

/// Most bytes of a member that are held against ours.
const MAX_MEMBER: u64 = 1 << 22;

pub fn run(data: &[u8]) {
    // As the format begins; others have targets of their own.
    if !data.starts_with(b"PK\x03\x04") && !data.starts_with(b"PK\x05\x06") {
        return;
    }
    pipe::check(data);
    let source = scratch::source(data);
    let Ok(file) = open(&source, Accepts::Sequences) else { return };
    let File::Bundle(mut bundle) = file else { panic!("an archive is a bundle") };
    // Nothing stands before an archive.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut archive = ZipArchive::with_config(config, Cursor::new(data)).unwrap();
    assert_eq!(bundle.place(), source.to_string());
    assert_eq!(bundle.entries().len(), archive.len());
    ways::printable(&format!("{bundle:?} {}", bundle.expected("one member")));
    // By a name, as a command line has it.
    if let Source::Path(path) = &source {
        let member = Source::Member(path.clone(), bundle.entries()[0].name.clone());
        // An escaped name is escaped again.
        if let Ok(tensor) = ways::open(&member) {
            assert_eq!(tensor.header().shape, bundle.entries()[0].shape);
        }
        ways::printable(&Checkpoint::read(&member, None, None).unwrap_err().to_string());
    }
    for index in 0..archive.len() {
        check(&mut archive, index, bundle.read_as(index).ok());
    }
    match ways::open(&source) {
        Ok(tensor) => {
            assert_eq!(tensor.read::<f64>().is_ok(), bundle.read_as::<f64>(0).is_ok());
            ways::check_file(|| ways::open(&source).unwrap());
        }
        Err(_) => assert!(archive.len() > 1, "the only member is a tensor"),
    }
    ways::check_bundle(&mut bundle);
    weights::check(Checkpoint::of_bundle(&mut bundle, None, None));
}

/// Holds a member, as the library has read it or refused it, against another reading.
fn check(archive: &mut ZipArchive<Cursor<&[u8]>>, index: usize, ours: Option<ArrayD<f64>>) {
    let mut bytes = Vec::new();
    let whole = archive.by_index(index).is_ok_and(|member| {
        let size = member.size();
        let read = member.take(MAX_MEMBER).read_to_end(&mut bytes);
        read.is_ok() && (bytes.len() as u64) < MAX_MEMBER && bytes.len() as u64 == size
    });
    if bytes.len() as u64 >= MAX_MEMBER {
        return;
    }
    let mut body = &bytes[..];
    let header = Header::read(&mut body, "fuzz");
    let header = header.map(|(header, _)| header);
    let good = whole && header.as_ref().is_ok_and(|header| header.body_bytes() == body.len());
    match ours {
        Some(array) => {
            assert!(good, "a member was read that is broken");
            assert!(agrees(&array, &header.unwrap(), body), "other numbers");
        }
        None => assert!(!good, "a member was refused that is whole"),
    }
}
