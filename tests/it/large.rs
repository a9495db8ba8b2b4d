//! Inputs that are read in parts: they give the bytes of a single pass.

use std::fs::File;
use std::io::Write;

use elman::files::{Overwrite, Sink, write_npy, write_npz};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use crate::support::Sandbox;

/// Features of each step.
const FEATURES: usize = 64;

/// `i.npy` of this shape; `i.npz` with the same numbers, and `f.npy` in Fortran order, which is read whole; `w.npz`.
fn given(shape: &[usize], flags: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut bits = 1_u32;
    let input = ArrayD::from_shape_simple_fn(shape, || {
        bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (bits >> 8) as f32 / (1 << 23) as f32 - 1.0
    });
    sandbox.save("i.npy", &input.view());
    let mut columns = ArrayD::<f32>::zeros(IxDyn(shape).f());
    columns.assign(&input);
    ndarray_npy::write_npy(sandbox.path("f.npy"), &columns).unwrap();
    let mut archive = Sink::open(&sandbox.path("i.npz"), Overwrite::Replace).unwrap();
    write_npz(&mut archive, &[("a", &input)], "").unwrap();
    archive.commit().unwrap();
    let init = format!("init --input-size {FEATURES} --hidden 6 --layers 2 {flags} -o w.npz -q");
    sandbox.rnn(&init).succeeds();
    sandbox
}

/// Runs the input whole, in parts, and in parts through pipes.
#[track_caller]
fn parts_give_the_bytes_of_the_whole(shape: &[usize], flags: &str) {
    let sandbox = given(shape, flags);
    let whole = sandbox.rnn("run -w w.npz -i f.npy -o whole.npy --hn whole_h.npy --report json");
    let notes = whole.succeeds().stdout_text();
    assert!(notes.contains("input and output are held whole"), "{notes}");
    for script in [
        "rnn run -w w.npz -i i.npy -o parts.npy --hn parts_h.npy -q",
        "rnn run -w w.npz -i i.npy -o parts.npy --hn parts_h.npy -q --threads 1 --check-finite",
        "rnn run -w w.npz -i i.npz -o parts.npy --hn parts_h.npy -q",
        "rnn run -w w.npz -i - -o parts.npy --hn parts_h.npy -q < i.npy",
        "cat i.npy | rnn run -w w.npz -i - -o - --hn parts_h.npy -q > parts.npy",
    ] {
        sandbox.shell(script).succeeds();
        assert!(sandbox.bytes("whole.npy") == sandbox.bytes("parts.npy"), "{script}");
        assert!(sandbox.bytes("whole_h.npy") == sandbox.bytes("parts_h.npy"), "{script}");
    }
}

#[test]
fn a_single_sequence_in_parts() {
    parts_give_the_bytes_of_the_whole(&[260_000, FEATURES], "");
}

#[test]
fn a_batch_in_parts() {
    parts_give_the_bytes_of_the_whole(&[2600, 101, FEATURES], "--nonlinearity relu");
}

#[test]
fn a_batch_first_in_parts() {
    parts_give_the_bytes_of_the_whole(&[101, 2600, FEATURES], "--batch-first");
}

/// Sequences so long that a part holds none of them whole.
#[test]
fn long_sequences_batch_first_in_parts() {
    parts_give_the_bytes_of_the_whole(&[6, 45_000, FEATURES], "--batch-first");
}

#[test]
fn both_directions_in_parts() {
    parts_give_the_bytes_of_the_whole(&[2600, 101, FEATURES], "--bidirectional");
}

#[test]
fn both_directions_batch_first_in_parts() {
    parts_give_the_bytes_of_the_whole(&[101, 2600, FEATURES], "--bidirectional --batch-first");
}

#[test]
fn sequences_of_different_lengths_in_parts() {
    for (shape, flags) in [
        ([2600, 101, FEATURES], ""),
        ([101, 2600, FEATURES], "--batch-first"),
        ([2600, 101, FEATURES], "--bidirectional"),
    ] {
        let sandbox = given(&shape, flags);
        let lengths: Vec<_> =
            (0..101_u32).map(|row| (row * 26 * row / 7 % 2601).to_string()).collect();
        let run = |input: &str, name: &str| {
            let line = format!(
                "run -w w.npz -i {input} --lengths {} --padding-value -1 -o {name}.npy --hn {name}_h.npy --last {name}_l.npy -q",
                lengths.join(",")
            );
            sandbox.rnn(&line).succeeds();
        };
        run("f.npy", "whole");
        run("i.npy", "parts");
        for of in ["", "_h", "_l"] {
            let [whole, parts] =
                ["whole", "parts"].map(|name| sandbox.bytes(&format!("{name}{of}.npy")));
            assert!(whole == parts, "{flags} {of}");
        }
    }
}

/// Sequences of their own lengths, as an archive of tensors and as packed ones.
#[test]
fn an_archive_in_parts() {
    for flags in ["", "--bidirectional"] {
        let sandbox = given(&[260, 1010, FEATURES], flags);
        let lengths: Vec<_> = (0..1010).map(|row| (row * 7919 % 61 + 200).to_string()).collect();
        std::fs::write(sandbox.path("lengths.txt"), lengths.join("\n")).unwrap();
        // `--total-length` makes the run a single pass.
        let flags = "--lengths lengths.txt --total-length 260 --last whole_l.npy -q";
        let whole = format!("run -w w.npz -i i.npy {flags} -o whole.npy --hn whole_h.npy");
        sandbox.rnn(&whole).succeeds();
        sandbox.rnn("pack -q -i i.npy --lengths lengths.txt -o packed.npz").succeeds();
        sandbox.rnn("unpack -q -i packed.npz -o ragged.npz").succeeds();
        for (input, packs) in
            [("ragged.npz", "rnn pack -q -i y.npz -o y.npz"), ("packed.npz", "true")]
        {
            for run in [
                format!("rnn run -w w.npz -i {input} -q --hn h.npy --last l.npy -o y.npz"),
                format!(
                    "cat {input} | rnn run -w w.npz -i - -q --check-finite --hn h.npy --last l.npy -o - > y.npz"
                ),
            ] {
                sandbox.shell(&run).succeeds();
                sandbox.shell(packs).succeeds();
                sandbox.rnn("unpack -q -i y.npz --total-length 260 -o y.npy").succeeds();
                for (whole, parts) in [("", "y"), ("_h", "h"), ("_l", "l")] {
                    let [whole, parts] = [format!("whole{whole}.npy"), format!("{parts}.npy")];
                    assert!(sandbox.bytes(&whole) == sandbox.bytes(&parts), "{run}: {parts}");
                }
            }
        }
    }
}

/// A note names the bytes of data that is buffered whole.
#[test]
fn data_that_is_buffered_whole_is_announced() {
    let sandbox = given(&[260, 1010, FEATURES], "--bidirectional");
    // 262,600 rows of 64 features, and of 12 of the output, 4 bytes each.
    let (input, output) = (262_600 * 64 * 4, 262_600 * 12 * 4);
    let lengths = ["130"; 1010].join(",");
    let said = |line: &str, expected: &str| {
        let outcome = sandbox.rnn(line);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), expected), "{line}");
        assert!(!outcome.stdout_text().contains("note: "), "{line}");
        // -q suppresses the note.
        sandbox.rnn(&format!("{line} -q")).succeeds();
    };
    let both = |bytes: usize| format!("note: input and output are held whole: {bytes} bytes\n");
    // The two blocks are too small for a note.
    said("run -w w.npz -i i.npy -o o.npy", "");
    said("run -w w.npz -i i.npz -o o.npy", &both(input + output));
    // Two layers of two directions; the hidden states of each are a tensor beside the output.
    said("run -w w.npz -i i.npy --all-hidden a.npz", &both(input + 2 * output));
    let line = format!("run -w w.npz -i i.npy --lengths {lengths} --total-length 1000");
    // Padded input, packed input, padded output: the first two together are the most.
    said(&line, &both(input + input / 2));
    let line = format!("pack -i i.npy --lengths {lengths} -o p.npz");
    let words = "sequences and packed data are held whole";
    said(&line, &format!("note: {words}: {} bytes\n", input + input / 2));
    let line = format!("{line} --padding-side left");
    said(&line, &format!("note: {words}: {} bytes\n", 2 * input));
    sandbox
        .rnn(&format!("pack -q -i i.npy --lengths {} -o p.npz", ["260"; 1010].join(",")))
        .succeeds();
    said("run -w w.npz -i p.npz -o o.npz", &both(input + output));
    let words = "packed data and sequences are held whole";
    // With the padding on the left, a sequence of padding is there twice: alone and in the padded tensor.
    let padding = 2 * input / 1010;
    for (flags, bytes) in [
        ("-o o.npy", 2 * input),
        ("-o o.npz", 2 * input),
        ("-o o.npy --padding-side left", 3 * input + padding),
    ] {
        said(&format!("unpack -i p.npz {flags}"), &format!("note: {words}: {bytes} bytes\n"));
    }
    // Small blocks of sequences.
    said("run -w w.npz -i o.npz -o y.npz", "");
    said(
        "pack -i o.npz -o p.npz",
        &format!("note: sequences and packed data are held whole: {} bytes\n", 2 * input),
    );
    // One sequence that cannot be cut.
    let one = given(&[270_000, FEATURES], "--bidirectional");
    let outcome = one.rnn("run -w w.npz -i i.npy -o o.npy");
    let note = format!("note: whole sequences are held in blocks: {} bytes\n", 270_000 * 76 * 4);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), note.as_str()));
    let json = sandbox.rnn("run -w w.npz -i p.npz -o o.npz --report json").succeeds();
    let note = format!("input and output are held whole: {} bytes", input + output);
    assert!(json.stdout_text().contains(&note));
}

/// A progress bar for less than a second would only flicker.
#[test]
fn a_run_of_less_than_a_second_shows_no_bar() {
    let sandbox = given(&[270_000, FEATURES], "");
    if sandbox.shell("script --version").code != Some(0) {
        return;
    }
    let start = std::time::Instant::now();
    let outcome = sandbox.shell("script -qec 'rnn run -q -w w.npz -i i.npy --hn h.npy' /dev/null");
    if start.elapsed() < std::time::Duration::from_secs(1) {
        assert_eq!((outcome.code, outcome.stdout_text().as_str()), (Some(0), ""));
    }
}

/// A sparse .npy of zeros, which needs no disk space.
fn zeros(sandbox: &Sandbox, shape: &[usize]) {
    let mut file = File::create(sandbox.path("zeros.npy")).unwrap();
    let mut header = Vec::new();
    write_npy(&mut header, &ArrayD::<f32>::zeros(vec![0; shape.len()]).view()).unwrap();
    let none = format!("({})", vec!["0"; shape.len()].join(", "));
    let sizes: Vec<_> = shape.iter().map(ToString::to_string).collect();
    let sizes = format!("({})", sizes.join(", "));
    let text = String::from_utf8_lossy(&header[10..]).replacen(&none, &sizes, 1);
    let text = format!("{:<width$}\n", text.trim_end(), width = header.len() - 11);
    file.write_all(&header[..10]).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let bytes = shape.iter().product::<usize>() * 4 + header.len();
    file.set_len(bytes as u64).unwrap();
}

#[test]
fn memory_does_not_grow_with_the_input() {
    let sandbox = given(&[1, FEATURES], "");
    // Two gigabytes, in an address space of one, a part of which is reserved by threads.
    zeros(&sandbox, &[8_000_000, FEATURES]);
    let run = "ulimit -v 1000000; rnn run -w w.npz -i zeros.npy --hn h.npy -q --threads 2";
    sandbox.shell(run).succeeds();
    assert_eq!(sandbox.load::<f32>("h.npy").shape(), [2, 6]);
}

#[test]
fn an_input_of_another_length_leaves_the_old_output() {
    let sandbox = given(&[260_000, FEATURES], "");
    sandbox.write("o.npy", b"old");
    sandbox
        .shell("head -c 66000000 i.npy | rnn run -w w.npz -i - -o o.npy -q")
        .fails(65, "rnn: stdin: expected 66560000 bytes after the header for shape [260000, 64], got 65999872\n");
    sandbox
        .shell("(cat i.npy; echo) | rnn run -w w.npz -i - -o o.npy -q")
        .fails(65, "rnn: stdin: expected 66560000 bytes after the header, got 66560001\n");
    sandbox
        .shell("echo >> i.npy; rnn run -w w.npz -i i.npy -o o.npy -q")
        .fails(65, "rnn: i.npy: expected 66560000 bytes after the header, got 66560001\n");
    assert_eq!(sandbox.bytes("o.npy"), b"old");
    assert_eq!(sandbox.names(), ["f.npy", "i.npy", "i.npz", "o.npy", "w.npz"]);
}

#[test]
fn a_number_that_is_not_finite_is_named_by_its_place_in_the_whole() {
    let sandbox = given(&[101, 2600, FEATURES], "--batch-first");
    let mut input = sandbox.load::<f32>("i.npy");
    input[[77, 2345, 11]] = f32::NAN;
    sandbox.save("i.npy", &input.view());
    sandbox.rnn("run -w w.npz -i i.npy -o o.npy -q --check-finite").fails(
        65,
        "rnn: i.npy: input: expected finite numbers, got NaN at [77, 2345, 11] (batch 77, seq_len 2345, input_size 11)\n",
    );
}

/// The header of an input of very many steps, as `head`, and `w.npz`.
fn endless() -> Sandbox {
    let sandbox = given(&[2, FEATURES], "");
    let steps = 1_u64 << 52;
    let dict =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({steps}, {FEATURES})}}\n");
    let length = u16::try_from(dict.len()).unwrap().to_le_bytes();
    sandbox.write("head", &[b"\x93NUMPY\x01\x00", &length[..], dict.as_bytes()].concat());
    sandbox
}

#[test]
fn a_failed_output_ends_the_reading() {
    let script = "cat head /dev/zero | timeout 30 rnn run -w w.npz -i - -o /dev/full -q";
    let failure = "rnn: /dev/full: No space left on device (os error 28)\n";
    endless().shell(script).fails(74, failure);
}

/// The program does not allocate a list of the sections that a header announces.
#[test]
fn a_stream_shorter_than_its_header_says_takes_no_memory_for_the_rest() {
    let missing = "expected 1152921504606846976 bytes after the header for shape \
                   [4503599627370496, 64], got 1048576";
    for outputs in ["-o y.npy", "--last y.npy"] {
        let script = format!(
            "(cat head; head -c 1M /dev/zero) | (ulimit -v 2000000; rnn run -w w.npz -i - {outputs} -q)"
        );
        endless().shell(&script).fails(65, &format!("rnn: stdin: {missing}\n"));
    }
}
