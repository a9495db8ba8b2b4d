//! The descriptions of `rnn info`, of files of all kinds. The first two bytes choose the place of the others and the
//! flags. A description is the same each time, its text has no control characters, and its JSON can be read.

use std::ffi::OsString;
use std::sync::LazyLock;

use clap::Parser;
use elman::files::{Accepts, Entry, File, Source, open};
use ndarray::arr2;
use ndarray_npy::WriteNpyExt;
use serde_json::Value;

use super::binary::args::{Args, Command, Info, InfoForm};
use super::binary::explain;
use super::binary::info::describe;
use super::scratch;

/// Most bytes of a layer, whose eigenvalues take the cube of the time: a view may repeat a few numbers millions of
/// times.
const MAX_BYTES: usize = 1 << 20;

/// The flags, one for each bit of the second byte.
const FLAGS: [&str; 6] =
    ["--report=json", "--values", "--prefix=rnn", "--header", "--columns=2,1", "--missing=nan"];

/// The arguments for each choice of flags.
static ARGUMENTS: LazyLock<Vec<Info>> =
    LazyLock::new(|| (0..1 << FLAGS.len()).map(arguments).collect());

pub fn run(data: &[u8]) {
    let &[place, flags, ref data @ ..] = data else { return };
    let path = path(place, data);
    if is_large(&Source::parse(&path)) {
        return;
    }
    let args = &ARGUMENTS[usize::from(flags) % ARGUMENTS.len()];
    let description = described(&path, args);
    assert_eq!(description, described(&path, args));
}

fn arguments(flags: usize) -> Info {
    let chosen = FLAGS.iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1);
    let words = ["rnn", "info", "FILE"].into_iter().chain(chosen.map(|(_, flag)| *flag));
    match Args::try_parse_from(words).unwrap().command {
        Command::Info(info) => info,
        other => unreachable!("{other:?}"),
    }
}

/// The bytes as a file, as a member of one, or as a file of a folder.
fn path(place: u8, data: &[u8]) -> OsString {
    let folder = match place % 6 {
        0 => return scratch::folder("files", "file", data).join("file").into(),
        1 => return scratch::folder("files", "file", data).join("file:weight_ih_l0").into(),
        2 => scratch::folder("tensors", "weight_hh_l0.npy", data),
        3 => scratch::folder("whole", "model.safetensors", data),
        4 => {
            for name in ["weight_ih_l0.npy", "weight_hh_l0.npy", "fc.weight.npy"] {
                let mut bytes = Vec::new();
                arr2(&[[0.5_f32]]).write_npy(&mut bytes).unwrap();
                scratch::folder("weights", name, &bytes);
            }
            scratch::folder("weights", "rnn.json", data)
        }
        _ => {
            let header = br#"{"weight_hh_l0":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}"#;
            let length = (header.len() as u64).to_le_bytes();
            let part = [&length[..], header, &[0; 4]].concat();
            scratch::folder("parts", "part.safetensors", &part);
            scratch::folder("parts", "model.safetensors.index.json", data)
        }
    };
    folder.into()
}

fn is_large(source: &Source) -> bool {
    let Ok(File::Bundle(bundle)) = open(source, Accepts::Anything) else { return false };
    let bytes = |Entry { stored, shape, .. }: &Entry| {
        shape.iter().try_fold(stored.size(), |bytes, &size| bytes.checked_mul(size)).unwrap()
    };
    bundle.entries().iter().map(bytes).sum::<usize>() > MAX_BYTES
}

/// The description as it is printed, or the error.
fn described(path: &OsString, args: &Info) -> String {
    let description = match describe(path, args) {
        Ok(description) => description,
        Err(error) => {
            let (text, code) = explain::listed(&error);
            assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
            // The input, a missing part of it, a flag, or a machine that is too small for it.
            assert!(matches!(code, 2 | 65 | 66 | 71), "{text}: {code}");
            return text;
        }
    };
    if args.report == InfoForm::Json {
        let text = serde_json::to_string(&description).unwrap();
        assert!(serde_json::from_str::<Value>(&text).unwrap().is_object());
        return text;
    }
    let mut text = Vec::new();
    description.write(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.lines().count() > 0 && !text.contains(|c: char| c.is_control() && c != '\n'));
    text
}
