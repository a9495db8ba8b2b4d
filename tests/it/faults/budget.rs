//! Rows 77 to 81, 93 and 95: what is built from a file fits in 64 MiB beside the numbers of its tensors, and what is
//! shown of it is short.

use serde_json::Value;
use zip::CompressionMethod;

use super::archives::{DEFLATED, STORED, checksum, deflated, end, listed, local};
use super::{Limits, Scene};
use crate::support::bytes::{npz, stored};
use crate::support::npy;

/// The budget of a file twice, because lists that grow reserve addresses that they do not use, and once for the process.
const BUDGET: Limits = Limits { seconds: 1, memory: 192 << 10 };

/// The error of a file whose contents do not fit in the budget.
const OVER: &str = "expected names, headers and values within 64 MiB of memory, got more\n";

/// Most characters of a name that is shown.
const MAX_NAME: usize = 1000;

/// A .safetensors of one tensor (2) under a name, as JSON writes it.
fn safetensors(name: &str) -> Vec<u8> {
    let tensor = r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    with_header(&format!(r#"{{"{name}":{tensor}}}"#), &[0; 8])
}

fn with_header(header: &str, body: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), body].concat()
}

/// Text on a terminal does nothing but appear, and a line is short.
#[track_caller]
fn is_plain(text: &str, most: usize) {
    let hides = |c: char| c != '\n' && c.escape_debug().len() > 2;
    assert!(!text.contains(hides), "{text:?}");
    for line in text.lines() {
        assert!(line.chars().count() <= most, "{} characters: {line:.80}", line.chars().count());
    }
}

/// Names that a terminal or a formatter would choke on, as JSON writes them, and a part of what is shown.
fn names() -> [(String, &'static str); 5] {
    [
        ("n".repeat(65_536), "nnn..."),
        (r"\u001b".repeat(20_000), r"\u{1b}\u{1b}"),
        (r"a\u202eb".to_owned(), r"a\u{202e}b"),
        ("\u{e9}".repeat(40_000), "\u{e9}\u{e9}"),
        (r"\u200b\u2066x".to_owned(), r"\u{200b}\u{2066}x"),
    ]
}

#[test]
fn fault_77() {
    let scene = Scene::new();
    for (name, shown) in names() {
        scene.sandbox.write("bad", &safetensors(&name));
        let raw: String = serde_json::from_str(&format!("\"{name}\"")).unwrap();
        let member = format!("{raw}.npy");
        let x = scene.sandbox.bytes("x.npy");
        // The name of a member has at most 65,535 bytes.
        let mut files = vec!["bad"];
        if member.len() < 65_536 {
            scene.sandbox.write("bad.npz", &stored(&[(&member, &x), ("other.npy", &x)]));
            files.push("bad.npz");
        }
        for file in files {
            let text = scene.succeeds(&format!("rnn info {file}")).stdout_text();
            assert!(text.contains(shown), "{shown}: {text:.300}");
            is_plain(&text, 2 * MAX_NAME);
            let json = scene.succeeds(&format!("rnn info --report json {file}")).stdout_text();
            is_plain(&json, 4 * MAX_NAME);
            let json: Value = serde_json::from_str(&json).unwrap();
            let own = json["tensors"][0]["name"].as_str().unwrap();
            assert!(
                own.chars().count() <= MAX_NAME && own.starts_with(shown.chars().next().unwrap()),
                "{own:.80}"
            );
            let text = scene.succeeds(&format!("rnn diff {file} {file}")).stdout_text();
            is_plain(&text, 2 * MAX_NAME);
            let error = scene.sandbox.shell(&format!("rnn run -q -w {file} -i x.npy -o y.npy"));
            assert_eq!(error.code, Some(65), "{}", error.stderr);
            is_plain(&error.stderr, 4 * MAX_NAME);
        }
    }
}

/// Of row 77: two names that differ in the middle stay two, and a shown name finds its tensor.
#[test]
fn fault_77_of_names_that_are_told_apart() {
    let scene = Scene::new();
    let x = scene.sandbox.bytes("x.npy");
    let names = ["b", "c"].map(|middle| format!("{0}{middle}{0}.npy", "n".repeat(2000)));
    scene.sandbox.write("bad.npz", &stored(&[(&names[0], &x), (&names[1], &x)]));
    let json = scene.succeeds("rnn info --report json bad.npz").stdout_text();
    let json: Value = serde_json::from_str(&json).unwrap();
    let shown = [0, 1].map(|index| json["tensors"][index]["name"].as_str().unwrap().to_owned());
    assert_ne!(shown[0], shown[1]);
    for name in &shown {
        scene.succeeds(&format!("rnn info bad.npz:{name}"));
    }
}

/// Of row 77: keys of `rnn.json` and of a checkpoint, and columns of a table.
#[test]
fn fault_77_of_keys() {
    let scene = Scene::new();
    for (name, _) in names() {
        let text = format!(r#"{{"{name}": 1}}"#);
        scene.sandbox.rnn("init --input-size 3 --hidden 4 -o w -q").succeeds();
        let folder = scene.sandbox.path("w");
        std::fs::write(folder.join("rnn.json"), &text).unwrap();
        let error = scene.sandbox.shell("rnn run -q -w w -i x.npy -o y.npy");
        assert_eq!(error.code, Some(65), "{}", error.stderr);
        is_plain(&error.stderr, 2 * MAX_NAME);
        is_plain(&scene.succeeds("rnn info w").stdout_text(), 3 * MAX_NAME);
        let raw: String = serde_json::from_str(&format!("\"{name}\"")).unwrap();
        scene.sandbox.write("t.csv", format!("first column,{raw}\n1,2\n").as_bytes());
        is_plain(&scene.succeeds("rnn info t.csv").stdout_text(), 3 * MAX_NAME);
        is_plain(&scene.succeeds("rnn info --report json t.csv").stdout_text(), 3 * MAX_NAME);
    }
}

/// A checkpoint of PyTorch with this pickle and one storage.
fn checkpoint(pickle: &[u8]) -> Vec<u8> {
    let members = [
        ("m/data.pkl", pickle),
        ("m/version", &b"3\n"[..]),
        ("m/data/0", &[0; 8]),
        ("m/byteorder", b"little"),
    ];
    npz(&members, CompressionMethod::Deflated)
}

/// The instructions for a text.
fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    [b"X", &length.to_le_bytes()[..], text.as_bytes()].concat()
}

/// The instructions for a tensor (2) in storage 0.
const TENSOR: &[u8] =
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n\
    X\x01\0\0\x000X\x03\0\0\0cpuK\x02tQK\0K\x02\x85K\x01\x85\x89}tR";

#[test]
fn fault_78() {
    let scene = Scene::new();
    let over = format!("broken checkpoint: {OVER}");
    let key = |length| text(&"k".repeat(length));
    let leaves = |key: &dyn Fn(usize) -> String| -> Vec<u8> {
        (0..2000).flat_map(|leaf| [text(&key(leaf)), TENSOR.to_vec()].concat()).collect()
    };
    let list = [&b"\x80\x02]("[..], &vec![b'N'; 20_000_000], b"e."].concat();
    let short = leaves(&|leaf| format!("w{leaf}"));
    let long = leaves(&|leaf| format!("{leaf}{}", "k".repeat(60_000)));
    let under = |key: Vec<u8>| [&b"\x80\x02}"[..], &key, b"}(", &short, b"us."].concat();
    // A hundred nested dictionaries, of which each adds its key to the names in it.
    let nested =
        (0..100).fold(TENSOR.to_vec(), |inner, _| [&b"}"[..], &key(60_000), &inner, b"s"].concat());
    for (pickle, what) in [
        (list.clone(), over.as_str()),
        ([&b"\x80\x02}("[..], &long, b"u."].concat(), &over),
        (under(key(60_000)), &over),
        ([&b"\x80\x02"[..], &nested, b"."].concat(), &over),
    ] {
        scene.sandbox.write("bad", &checkpoint(&pickle));
        scene.refuses_within(BUDGET, "rnn run -w bad -i x.npy -o y.npy", 65, &[what]);
        scene.refuses_within(BUDGET, "rnn info bad", 65, &[what]);
    }
    // A key that is longer than all names is left out of them.
    scene.sandbox.write("bad", &checkpoint(&under(key(100_000))));
    let outcome = scene.succeeds("rnn info bad").stdout_text();
    is_plain(&outcome, 200);
    scene.sandbox.write("bad", &list);
    scene.refuses_within(BUDGET, "rnn run -w bad -i x.npy -o y.npy", 65, &[&over]);
    // Sizes that many tensors share.
    let sizes = [&b"("[..], &b"K\x01".repeat(100_000), b"t\x94"].concat();
    let shared = [&b"\x80\x04"[..], &sizes, b"0", TENSOR, b"."].concat();
    let at = shared.windows(3).rposition(|bytes| bytes == b"K\x02\x85").unwrap();
    let shared = [&shared[..at], b"h\0", &shared[at + 3..]].concat();
    scene.sandbox.write("bad", &checkpoint(&shared));
    scene.refuses_within(BUDGET, "rnn info bad", 65, &["_rebuild_tensor_v2: expected sizes"]);
}

#[test]
fn fault_79() {
    let scene = Scene::new();
    let line = |cell: &str, count: usize| [vec![cell; count].join(",").as_bytes(), b"\n"].concat();
    let names: Vec<_> = (0..5_000_000).map(|name| format!("a{name}")).collect();
    let names = [names.join(",").as_bytes(), b"\n", &line("1", 5_000_000)].concat();
    for (table, what) in [
        (names, OVER),
        (line("1.5", 5_000_000), OVER),
        (vec![b','; 20_000_000], OVER),
        (vec![b'x'; 50_000_000], OVER),
        (vec![b'1'; 50_000_000], OVER),
        ([&b"1\n"[..], &line("1", 5_000_000)].concat(), OVER),
        // A quote in the middle of a cell opens none.
        ([&b"1\n2\"3,"[..], &line("1", 5_000_000)].concat(), OVER),
        (b"1 ".repeat(5_000_000), OVER),
    ] {
        scene.sandbox.write("bad", &table);
        let start = String::from_utf8_lossy(&table[..10]).into_owned();
        for script in ["rnn run --hidden 2 -i bad -o y.npy", "rnn info bad", "rnn diff bad bad"] {
            let limits = Limits { seconds: 5, ..BUDGET };
            let outcome = scene.sandbox.shell(&scene.limited(limits, script));
            assert_eq!(outcome.code, Some(65), "{start}: {script}: {}", outcome.stderr);
            assert!(outcome.stderr.contains(what), "{start}: {script}: {}", outcome.stderr);
        }
    }
    // Bytes of Latin-1 become two in place.
    scene.sandbox.write("bad", &[&b"1\n".repeat(2000)[..], &vec![0xff; 20_000_000]].concat());
    scene.refuses_within(BUDGET, "rnn info bad", 65, &["line 2001"]);
}

/// An archive with so many entries in its directory on one member.
fn many_entries(count: usize, method: u16) -> Vec<u8> {
    let array = npy(&ndarray::ArrayD::<f32>::zeros(vec![50_000, 3]));
    let bytes = if method == STORED { array.clone() } else { deflated(&[], array.len()) };
    let (stored, whole) =
        (u32::try_from(bytes.len()).unwrap(), u32::try_from(array.len()).unwrap());
    let body = [&local(b"0.npy", method)[..], &bytes].concat();
    let sum = checksum(&array);
    let entry = |index: usize| {
        let name = format!("{index}.npy");
        listed(name.as_bytes(), sum, method, [stored, whole], 0, &[])
    };
    let directory: Vec<u8> = (0..count).flat_map(entry).collect();
    let end = end(count as u64, directory.len(), body.len());
    [body, directory, end].concat()
}

#[test]
fn fault_80() {
    let scene = Scene::new();
    let share = "two members of the archive share bytes, ";
    for method in [STORED, DEFLATED] {
        for count in [2, 300, 5000] {
            scene.sandbox.write("bad", &many_entries(count, method));
            let what = format!("bad: {share}");
            for script in ["rnn run --hidden 2 -i bad -o y.npy", "rnn info bad", "rnn diff bad bad"]
            {
                scene.refuses(script, 65, &[&what]);
            }
        }
    }
    // A member within another.
    let x = scene.sandbox.bytes("x.npy");
    let length = u32::try_from(x.len()).unwrap();
    let inner = [&local(b"b.npy", STORED)[..], &x].concat();
    let outer = npy(&ndarray::ArrayD::from_shape_vec(vec![inner.len()], inner.clone()).unwrap());
    let body = [&local(b"a.npy", STORED)[..], &outer].concat();
    let at = body.windows(inner.len()).position(|bytes| bytes == inner).unwrap();
    let whole = u32::try_from(outer.len()).unwrap();
    let first = listed(b"a.npy", checksum(&outer), STORED, [whole, whole], 0, &[]);
    let at = u32::try_from(at).unwrap();
    let second = listed(b"b.npy", checksum(&x), STORED, [length, length], at, &[]);
    let directory = [first, second].concat();
    let archive = [&body[..], &directory, &end(2, directory.len(), body.len())].concat();
    scene.sandbox.write("bad", &archive);
    scene.refuses("rnn info bad", 65, &[&format!("{share}a and b\n")]);
}

/// Of row 80: a record in the comment of another one, each with a directory of its own.
#[test]
fn fault_80_of_two_directories() {
    let scene = Scene::new();
    let x = scene.sandbox.bytes("x.npy");
    let length = u32::try_from(x.len()).unwrap();
    let body = [&local(b"a.npy", STORED)[..], &x].concat();
    let [first, second] = [b"a.npy", b"b.npy"]
        .map(|name| listed(name, checksum(&x), STORED, [length, length], 0, &[]));
    let inner = end(1, second.len(), body.len() + first.len());
    let mut outer = end(1, first.len(), body.len());
    let comment = outer.len() - 2;
    outer[comment..].copy_from_slice(&u16::try_from(inner.len()).unwrap().to_le_bytes());
    scene.sandbox.write("bad", &[&body[..], &first, &second, &outer, &inner].concat());
    let says = "expected one directory, got two, at byte";
    scene.refuses("rnn info bad", 65, &[says]);
    scene.refuses("rnn run --hidden 2 -i bad -o y.npy", 65, &[says]);
}

/// The checksum of bytes with so many zeros behind them: each zero is the same linear operation on the checksum's
/// register, and half of the zeros is its square root.
fn checksum_with_zeros(bytes: &[u8], mut zeros: usize) -> u32 {
    let bit = |sum: u32| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
    let zero = |sum: u32| (0..8).fold(sum, |sum, _| bit(sum));
    let applied = |columns: &[u32; 32], sum: u32| {
        (0..32).filter(|bit| sum >> bit & 1 == 1).fold(0, |sum, bit| sum ^ columns[bit])
    };
    let mut columns: [u32; 32] = std::array::from_fn(|bit| zero(1 << bit));
    let mut sum = !checksum(bytes);
    while zeros > 0 {
        if zeros & 1 == 1 {
            sum = applied(&columns, sum);
        }
        columns = columns.map(|column| applied(&columns, column));
        zeros >>= 1;
    }
    !sum
}

/// An archive of one array of zeros, which has a thousandth of its bytes.
fn zeros(name: &str, shape: &str, numbers: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let mut bytes = crate::support::bytes::npy(&header, &[]);
    let sum = checksum_with_zeros(&bytes, 4 * numbers);
    let whole = u32::try_from(bytes.len() + 4 * numbers).unwrap();
    // The compressed block has one zero, and then 2064 at a time.
    let (blocks, rest) = ((4 * numbers - 1) / 2064, (4 * numbers - 1) % 2064);
    bytes.extend(vec![0; rest]);
    let stream = deflated(&bytes, 2064 * blocks);
    let packed = u32::try_from(stream.len()).unwrap();
    let body = [&local(name.as_bytes(), DEFLATED)[..], &stream].concat();
    let directory = listed(name.as_bytes(), sum, DEFLATED, [packed, whole], 0, &[]);
    [&body[..], &directory, &end(1, directory.len(), body.len())].concat()
}

/// 1.6 MB that inflate to 256 MB: numbers pass in pieces, and weights are refused.
#[test]
fn fault_81() {
    let scene = Scene::new();
    let archive = zeros("a.npy", "(1000000, 1, 64)", 64_000_000);
    assert!(archive.len() < 2_000_000, "{} bytes", archive.len());
    scene.sandbox.write("x.npz", &archive);
    let limits = Limits { seconds: 60, ..BUDGET };
    let run = "rnn run -q --hidden 2 -i x.npz -o y.npy";
    for script in ["rnn info x.npz", "rnn diff -q x.npz x.npz", run] {
        let outcome = scene.sandbox.shell(&scene.limited(limits, script));
        assert_eq!(outcome.code, Some(0), "{script}: {}", outcome.stderr);
    }
    std::fs::remove_file(scene.sandbox.path("x.npz")).unwrap();
    let weights = zeros("weight_hh_l0.npy", "(8000, 8000)", 64_000_000);
    scene.sandbox.write("bad", &weights);
    scene.refuses_within(BUDGET, "rnn run -w bad -i x.npy -o y.npy", 65, &["rnn: bad: "]);
}

#[test]
fn fault_93() {
    let scene = Scene::new();
    scene.sandbox.rnn("randn --shape 5,3 -o one.npy -q").succeeds();
    let flags = "--hidden 2 --input-size 100000000";
    for (input, shape) in [("x.npy", "[5, 2, 3]"), ("one.npy", "[5, 3]")] {
        let what = format!(
            "rnn: {input}: input: expected 100000000 features (input_size) on the last axis, got 3 in shape {shape}\n"
        );
        for more in ["", " --num-layers 1000000000", " --bidirectional"] {
            let script = format!("rnn run -i {input} {flags}{more} -o y.npy");
            scene.refuses(&script, 65, &[&what]);
        }
    }
}

#[test]
fn fault_95() {
    let scene = Scene::new();
    // A model that does not fit its format is refused by its length, whatever is in it.
    scene.sandbox.write("bad", b"\x08\x07\x12\x02ab");
    scene.sandbox.shell("truncate -s 4G bad");
    let says = "expected a model of at most 2147483647 bytes, which .onnx holds, got 4294967296\n";
    for script in ["rnn run -w bad -i x.npy -o y.npy", "rnn info bad"] {
        let script = format!("ulimit -t 1 -v {}; {script}", 100 << 10);
        scene.sandbox.shell(&script).fails(65, &format!("rnn: bad: {says}"));
    }
    // So is a shorter one with a hole: behind its fields, in its graph, in a tensor, and in a text.
    let zero = "expected a field, got number 0\n";
    for (start, says) in [
        (&b"\x08\x07\x12\x02ab"[..], format!("rnn: bad: {zero}")),
        (b"\x08\x07\x3a\xf4\xff\xff\xff\x03", format!("rnn: bad: {zero}")),
        (b"\x08\x07\x3a\xf4\xff\xff\xff\x03\x2a\xee\xff\xff\xff\x03", format!("rnn: bad: {zero}")),
        (b"\x08\x07\x12\xf4\xff\xff\xff\x03", format!("rnn: bad: {OVER}")),
    ] {
        scene.sandbox.write("bad", start);
        scene.sandbox.shell("truncate -s 1073741820 bad");
        for script in ["rnn run -w bad -i x.npy -o y.npy", "rnn info bad"] {
            let script = format!("ulimit -t 1 -v {}; {script}", 100 << 10);
            scene.sandbox.shell(&script).fails(65, &says);
        }
    }
    std::fs::remove_file(scene.sandbox.path("bad")).unwrap();
    // Messages that take two hundred times their bytes.
    let field = |number: u8, payload: &[u8]| {
        let mut field = vec![number << 3 | 2];
        let mut length = payload.len();
        while length >= 0x80 {
            field.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        field.push(u8::try_from(length).unwrap());
        field.extend(payload);
        field
    };
    let model = |graph: &[u8]| [b"\x08\x07\x12\x01a", &field(7, graph)[..]].concat();
    let attributes = field(1, &field(5, b"").repeat(200)).repeat(1300);
    let names: Vec<u8> = (0..1000)
        .flat_map(|name| field(5, &field(8, format!("{name}{}", "k".repeat(40_000)).as_bytes())))
        .collect();
    for graph in [field(1, b"").repeat(200_000), field(5, b"").repeat(200_000), attributes, names] {
        scene.sandbox.write("bad", &model(&graph));
        scene.refuses_within(BUDGET, "rnn run -w bad -i x.npy -o y.npy", 65, &[OVER]);
    }
}

/// Of row 95: headers of .safetensors with many names, long names, and long texts.
#[test]
fn fault_95_of_headers() {
    let scene = Scene::new();
    let tensor = r#"{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    let entries = |count: usize, name: &str| {
        let entries = (0..count).map(|index| format!(r#""{index}{name}":{tensor}"#));
        format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
    };
    let of_text =
        |key: &str| format!(r#"{{"__metadata__":{{"{key}":"{}"}}}}"#, "v".repeat(99_000_000));
    let sizes = vec!["1"; 2000].join(",");
    let axes = format!(r#"{{"a":{{"dtype":"F32","shape":[{sizes}],"data_offsets":[0,4]}}}}"#);
    for (header, what) in [
        (entries(1_500_000, "kkkkkk"), OVER),
        (entries(1000, &"k".repeat(99_000)), OVER),
        (entries(300_000, "kkkkkk"), "within 64 MiB of memory, got more"),
        (entries(100, &r"\u001b".repeat(60_000)), "within 64 MiB of memory, got more"),
        (of_text("k"), OVER),
        (of_text("rnn.json"), OVER),
        (axes, "expected at most 64 axes, got more"),
    ] {
        scene.sandbox.write("bad", &with_header(&header, &[]));
        for script in ["rnn run -w bad -i x.npy -o y.npy", "rnn info bad"] {
            scene.refuses_within(BUDGET, script, 65, &[what]);
        }
    }
}

/// Of row 95: vocabularies and labels of many names, as lines and in JSON.
#[test]
fn fault_95_of_vocabularies() {
    let scene = Scene::new();
    scene.sandbox.write("t.txt", b"12\n");
    let limits = Limits { seconds: 10, ..BUDGET };
    let joined = |count: usize, entry: &dyn Fn(usize) -> String| {
        (0..count).map(entry).collect::<Vec<_>>().join(",")
    };
    let list = |count| format!("[{}]", joined(count, &|id| format!("\"{id}\"")));
    let object = |count| format!("{{{}}}", joined(count, &|id| format!("\"{id}\":{id}")));
    let lines = b"a\n".repeat(5_000_000);
    let long = b"a".repeat(40_000_000);
    let over = "expected names within 64 MiB of memory, got more\n";
    for names in [lines, long, object(3_000_000).into_bytes()] {
        scene.sandbox.write("bad", &names);
        for flags in ["--one-hot --vocab bad -i t.txt", "--labels bad --head fc -i x.npy"] {
            let script = format!("rnn run -w w.npz {flags} -o y.npy");
            scene.refuses_within(limits, &script, 65, &["rnn: bad: ", over]);
        }
    }
    // A million tokens fit, and are too many for this layer.
    for names in [list(1_000_000), object(1_000_000)] {
        scene.sandbox.write("bad", names.as_bytes());
        let script = "rnn run -w w.npz --one-hot --vocab bad -i t.txt -o y.npy";
        scene.refuses_within(
            limits,
            script,
            65,
            &["one for each feature of the layer, got 1000000"],
        );
    }
}
