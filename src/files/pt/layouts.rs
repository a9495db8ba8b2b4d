//! Checkpoints that are not ZIP archives: a sequence of pickles, and a TAR archive of them.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::graph::{Contents, TENSOR_BYTES, contents};
use super::view::{View, storage_type};
use crate::files::StoredType;
use crate::files::budget::Budget;
use crate::files::handle::{Handle, read_full};
use crate::files::limit::MAX_AXES;
use crate::files::pickle::{Id, Pickle, Value, broken};

/// The number in the first pickle of the sequence, as protocols from 2 on and before write it.
const MAGIC: [&[u8]; 2] =
    [b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", b"L119547037146038801333356L"];

/// Bytes of a header in a TAR archive, and the unit of its members' lengths.
const BLOCK: usize = 512;

/// A checkpoint that is not a ZIP archive.
pub(super) struct Plain {
    pub(super) file: Handle,
    /// The position of each storage's first number.
    pub(super) starts: HashMap<String, u64>,
    pub(super) big_endian: bool,
}

/// Why a checkpoint cannot be read.
pub(super) enum Fault {
    Io(io::Error),
    /// A pickle without storages behind it.
    NoStorages,
}

impl From<io::Error> for Fault {
    fn from(source: io::Error) -> Self {
        Fault::Io(source)
    }
}

impl Plain {
    /// Reads the pickles of a file.
    pub(super) fn read(mut file: Handle, budget: &mut Budget) -> Result<(Contents, Self), Fault> {
        let mut start = [0; 8];
        read_full(&mut file, &mut start)?;
        file.seek(SeekFrom::Start(0))?;
        if start == *b"sys_info" { Self::tar(file, budget) } else { Self::sequence(file, budget) }
    }

    /// Pickles of a magic number, a version, the system, the checkpoint and the names of its storages, and then
    /// the storages.
    fn sequence(file: Handle, budget: &mut Budget) -> Result<(Contents, Self), Fault> {
        let mut reader = BufReader::new(file);
        let is_magic = |start: &[u8]| {
            let begins = |magic: &&[u8]| start.windows(magic.len()).any(|window| window == *magic);
            MAGIC.iter().any(begins)
        };
        let start = reader.fill_buf()?;
        let is_sequence = is_magic(&start[..start.len().min(32)]);
        let first = Pickle::read(&mut reader, budget)?;
        if !is_sequence {
            let contents = contents(&first, &HashMap::new(), budget)?;
            if !contents.tensors.is_empty() {
                return Err(Fault::NoStorages);
            }
            let (file, starts) = (reader.into_inner(), HashMap::new());
            return Ok((contents, Plain { file, starts, big_endian: false }));
        }
        let _version = Pickle::read(&mut reader, budget)?;
        let big_endian = is_big_endian(&Pickle::read(&mut reader, budget)?);
        let pickle = Pickle::read(&mut reader, budget)?;
        let contents = contents(&pickle, &HashMap::new(), budget)?;
        let sizes = storage_bytes(&pickle);
        let keys = Pickle::read(&mut reader, budget)?;
        let mut starts = HashMap::new();
        for key in keys.list(keys.root()).unwrap_or_default() {
            let key = text(&keys, *key);
            let bytes = sizes.get(&key).copied().unwrap_or(0);
            budget.charge(TENSOR_BYTES + key.len()).map_err(io::Error::from)?;
            starts.insert(key, skip_storage(&mut reader, bytes, big_endian)?);
        }
        Ok((contents, Plain { file: reader.into_inner(), starts, big_endian }))
    }

    /// A TAR archive of `sys_info`, `storages`, `tensors` and `pickle`.
    fn tar(mut file: Handle, budget: &mut Budget) -> Result<(Contents, Self), Fault> {
        let members = tar_members(&mut file)?;
        let mut reader = BufReader::new(file);
        let enter = |reader: &mut BufReader<Handle>, name: &str| {
            let start = members
                .get(name)
                .ok_or_else(|| broken(format!("expected a member {name}, got none")))?;
            reader.seek(SeekFrom::Start(*start)).map(drop)
        };
        enter(&mut reader, "sys_info")?;
        let big_endian = is_big_endian(&Pickle::read(&mut reader, budget)?);
        enter(&mut reader, "storages")?;
        let (storages, starts) = tar_storages(&mut reader, budget, big_endian)?;
        enter(&mut reader, "tensors")?;
        let tensors = tar_tensors(&mut reader, budget, &storages, big_endian)?;
        enter(&mut reader, "pickle")?;
        let pickle = Pickle::read(&mut reader, budget)?;
        let contents = contents(&pickle, &tensors, budget)?;
        Ok((contents, Plain { file: reader.into_inner(), starts, big_endian }))
    }
}

/// The position of each member's first byte.
fn tar_members(file: &mut Handle) -> io::Result<HashMap<String, u64>> {
    let mut members = HashMap::new();
    let mut at = 0;
    // PyTorch writes four members, each with an extended header at most.
    for _ in 0..64 {
        file.seek(SeekFrom::Start(at))?;
        let mut header = [0; BLOCK];
        if file.read_exact(&mut header).is_err() || header[0] == 0 {
            break;
        }
        let field = |from: usize, to: usize| {
            let bytes = header[from..to].split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(bytes).trim().to_owned()
        };
        let size = u64::from_str_radix(&field(124, 136), 8);
        let size = size.map_err(|_| broken("expected the size of a TAR member, got none"))?;
        members.insert(field(0, 100).trim_start_matches("./").to_owned(), at + BLOCK as u64);
        at += BLOCK as u64 + size.next_multiple_of(BLOCK as u64);
    }
    Ok(members)
}

/// A storage of a TAR archive: its name, its part of that storage, its type.
type Storage = (String, usize, usize, StoredType, usize);

/// Storages by their identity, and the position of each one's first number.
fn tar_storages(
    reader: &mut BufReader<Handle>,
    budget: &mut Budget,
    big_endian: bool,
) -> io::Result<(HashMap<String, Storage>, HashMap<String, u64>)> {
    let (mut storages, mut starts) = (HashMap::new(), HashMap::new());
    for _ in 0..count(&Pickle::read(reader, budget)?)? {
        let args = Pickle::read(reader, budget)?;
        let Some(&[key, _, class]) = args.list(args.root()) else {
            return Err(broken("expected a storage of 3 fields"));
        };
        let (key, (stored, bytes)) =
            (text(&args, key), storage_type(args.global(class).unwrap_or_default()));
        budget.charge(TENSOR_BYTES + 3 * key.len())?;
        let numel = peek_length(reader, big_endian)?;
        starts.insert(key.clone(), skip_storage(reader, bytes, big_endian)?);
        storages.insert(key.clone(), (key, 0, numel, stored, bytes));
    }
    let views = Pickle::read(reader, budget)?;
    for &view in views.list(views.root()).unwrap_or_default() {
        let Some(&[key, root, offset, numel]) = views.list(view) else {
            return Err(broken("expected a view of 4 fields"));
        };
        let size = |id: Id| views.size(id).ok_or_else(|| broken("expected the size of a view"));
        if let Some((root, start, _, stored, bytes)) = storages.get(&text(&views, root)).cloned() {
            let start = usize::saturating_add(start, size(offset)?);
            let view = (root, start, size(numel)?, stored, bytes);
            let key = text(&views, key);
            budget.charge(TENSOR_BYTES + key.len() + view.0.len())?;
            storages.insert(key, view);
        }
    }
    Ok((storages, starts))
}

/// Tensors by their identity: a pickle of identity, storage and type, and then rank, sizes, strides and offset.
fn tar_tensors(
    reader: &mut BufReader<Handle>,
    budget: &mut Budget,
    storages: &HashMap<String, Storage>,
    big_endian: bool,
) -> io::Result<HashMap<String, View>> {
    let mut tensors = HashMap::new();
    for _ in 0..count(&Pickle::read(reader, budget)?)? {
        let args = Pickle::read(reader, budget)?;
        let Some(&[key, storage, ..]) = args.list(args.root()) else {
            return Err(broken("expected a tensor of 3 fields"));
        };
        let mut next = || number(reader, big_endian);
        // The rank has four bytes, and four more that are not used.
        let rank = next()? & 0xffff_ffff;
        if rank > MAX_AXES {
            return Err(broken(format!("expected at most {MAX_AXES} sizes, got {rank}")));
        }
        let shape = (0..rank).map(|_| next()).collect::<io::Result<_>>()?;
        let strides = (0..rank).map(|_| next()).collect::<io::Result<_>>()?;
        let offset = next()?;
        let storage = storages.get(&text(&args, storage));
        let (root, start, numel, stored, bytes) =
            storage.cloned().ok_or_else(|| broken("expected the storage of a tensor, got none"))?;
        let view = View {
            key: root,
            numel: start.saturating_add(numel),
            shape,
            strides,
            offset: start.saturating_add(offset),
            bytes,
            ..View::of(stored)
        };
        let key = text(&args, key);
        budget.charge(TENSOR_BYTES + 16 * rank + key.len() + view.key.len())?;
        tensors.insert(key, view);
    }
    Ok(tensors)
}

/// Bytes of a number in each storage.
fn storage_bytes(pickle: &Pickle) -> HashMap<String, usize> {
    let mut sizes = HashMap::new();
    for value in pickle.values() {
        let Value::Persistent(identity) = value else { continue };
        if let Some(&[_, class, key, ..]) = pickle.list(*identity)
            && let Some(class) = pickle.global(class)
        {
            sizes.insert(text(pickle, key), storage_type(class).1);
        }
    }
    sizes
}

/// Whether the description of the system that wrote the file says so.
fn is_big_endian(pickle: &Pickle) -> bool {
    let little = pickle.entry(pickle.root(), "little_endian");
    little.is_some_and(|little| matches!(pickle.get(little), Value::Bool(false)))
}

/// A text or an integer as the name of a storage or tensor.
fn text(pickle: &Pickle, id: Id) -> String {
    match *pickle.get(id) {
        Value::Int(key) => key.to_string(),
        _ => pickle.text(id).unwrap_or_default().to_owned(),
    }
}

fn count(pickle: &Pickle) -> io::Result<usize> {
    pickle.size(pickle.root()).ok_or_else(|| broken("expected a count"))
}

/// The length of a storage, which stands before its numbers.
fn peek_length(reader: &mut BufReader<Handle>, big_endian: bool) -> io::Result<usize> {
    let length = number(reader, big_endian)?;
    reader.seek_relative(-8)?;
    Ok(length)
}

/// Skips a storage, a length and as many numbers, and returns the position of the first one.
fn skip_storage(reader: &mut BufReader<Handle>, bytes: usize, big_endian: bool) -> io::Result<u64> {
    let length = number(reader, big_endian)?;
    if bytes == 0 && length > 0 {
        return Err(broken("expected a storage of a known type, got another"));
    }
    let start = reader.stream_position()?;
    let skipped = length.checked_mul(bytes).and_then(|bytes| i64::try_from(bytes).ok());
    let left = reader.get_ref().metadata()?.len().saturating_sub(start);
    let skipped = skipped.filter(|skipped| skipped.unsigned_abs() <= left);
    reader.seek_relative(skipped.ok_or(io::ErrorKind::UnexpectedEof)?)?;
    Ok(start)
}

/// An integer of eight bytes that is not negative.
fn number(reader: &mut impl BufRead, big_endian: bool) -> io::Result<usize> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    let number = if big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) };
    usize::try_from(number).map_err(|_| broken(format!("expected a size, got {number}")))
}
