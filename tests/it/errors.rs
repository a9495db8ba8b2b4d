//! Every variant of the library's errors, with its exact text. A variant without a case fails the test.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

use elman::files::{self, Accepts, AnyArray, FileError, Lock, Overwrite, Sink, Source, TensorFile};
use elman::{
    Batch, Checkpoint, CheckpointError, Config, Decoder, Encoder, EncoderConfig, Error, Function,
    Generator, LinkConfig, Model, ModelCheckpoint, ModelConfig, Nonlinearity, Options,
    PackedSequence, Padding, Rnn, Tokens, Vocabulary, pack_padded_sequence, pack_sequence,
};
use ndarray::{ArrayD, IxDyn};

use crate::support::{Sandbox, npy};

/// An error that happened, and the text that it must have.
type Case = (CheckpointError, String);

fn case<T>(result: Result<T, impl Into<CheckpointError>>, text: &str) -> Case {
    let Err(error) = result else { panic!("expected the error '{text}', got none") };
    (error.into(), text.to_owned())
}

/// The names of an error's variants, from the outermost to the innermost.
fn names(error: &CheckpointError) -> Vec<String> {
    let name = |error: &dyn Debug| {
        let text = format!("{error:?}");
        text.split([' ', '(']).next().unwrap_or_default().to_owned()
    };
    let mut names = vec![name(error)];
    match error {
        CheckpointError::File(error) => names.push(name(error)),
        CheckpointError::Layer(error) => names.push(name(error)),
        CheckpointError::Weights { source, .. } => names.extend(self::names(source)),
        _ => {}
    }
    names
}

/// The names of all variants, read from the source that defines them.
fn variants() -> BTreeSet<String> {
    let sources = [
        include_str!("../../src/error.rs"),
        include_str!("../../src/files/error.rs"),
        include_str!("../../src/checkpoint/error.rs"),
    ];
    let variant = |line: &'static str| {
        let own = line.strip_prefix("    ").filter(|own| own.starts_with(char::is_uppercase))?;
        own.split([' ', '(', ',']).next()
    };
    let body = |source: &'static str| {
        let (_, behind) = source.split_once("Error {\n    ///").unwrap();
        behind.split_once("\n}\n").unwrap().0
    };
    let lines = sources.into_iter().flat_map(|source| body(source).lines());
    lines.filter_map(variant).map(str::to_owned).collect()
}

#[test]
fn every_variant_has_a_case_with_its_text() {
    let sandbox = Sandbox::new();
    let mut seen = BTreeSet::new();
    let cases = [of_configurations(), of_tensors(), of_lengths(), of_weights(), of_the_machine()];
    let of_files = [of_checkpoints(&sandbox), of_models(&sandbox), of_files(&sandbox)];
    for (error, text) in cases.into_iter().chain(of_files).flatten() {
        assert_eq!(error.to_string(), text, "{error:?}");
        seen.extend(names(&error));
    }
    #[cfg(not(feature = "onnx"))]
    seen.insert("Node".to_owned());
    assert_eq!(seen, variants());
}

fn ones(shape: &[usize]) -> ArrayD<f32> {
    ArrayD::ones(IxDyn(shape))
}

/// A layer of 3 features in and 4 out.
fn layer() -> Rnn<f32> {
    Rnn::new(Config::new(3, 4), &mut Generator::new(0)).unwrap()
}

fn of_configurations() -> Vec<Case> {
    let no_input = Config::new(0, 4);
    let dropout = Config { dropout: 1.5, ..Config::new(3, 4) };
    vec![
        case(no_input.check(), "expected input_size of at least 1, got 0"),
        case(
            dropout.check(),
            "expected dropout in [0, 1], the probability of an element being zeroed, got 1.5",
        ),
        case("sine".parse::<Nonlinearity>(), "unknown nonlinearity 'sine': expected tanh or relu"),
        case(
            Config::from_json(r#"{"input_size": 3}"#),
            "configuration: missing field `hidden_size` at line 1 column 17",
        ),
        case(
            Config::infer(std::iter::empty()),
            "weight_ih_l0: expected a matrix that tells the layer's sizes, got no such tensor",
        ),
        case(
            Generator::from_state(&[0; 3]),
            "generator state: expected size in bytes to be 5056, got 3",
        ),
    ]
}

fn of_tensors() -> Vec<Case> {
    let forward = |shape: &[usize], h_0: Option<ArrayD<f32>>| {
        layer().call(ones(shape).view(), h_0.as_ref().map(|h_0| h_0.view()))
    };
    vec![
        case(
            forward(&[2], None),
            "input: expected 2 or 3 dimensions, (L, H_in) or (L, N, H_in), got 1 in shape [2]",
        ),
        case(
            forward(&[5, 2], None),
            "input: expected 3 features (input_size) on the last axis, got 2 in shape [5, 2]",
        ),
        case(
            forward(&[0, 3], None),
            "input: expected seq_len of at least 1, got 0 in shape [0, 3]",
        ),
        case(forward(&[5, 3], Some(ones(&[4]))), "h_0: expected shape [1, 4], got [4]"),
        case(
            layer().with_reversed(true).check_carried(),
            "expected the forward direction, got a layer that runs in reverse, which cannot be carried from \
             array to array: its reverse direction begins at the last step, which is still to come",
        ),
    ]
}

fn of_lengths() -> Vec<Case> {
    let pack = |shape: &[usize], lengths: &[usize]| {
        pack_padded_sequence(ones(shape).view(), lengths, false, true)
    };
    let padding = Padding { total_length: Some(2), ..Padding::default() };
    let padded = Batch::with_lengths(ones(&[5, 2, 3]).view(), &[3, 2], false)
        .and_then(|batch| layer().forward(batch, Options { padding, ..Options::default() }));
    let none = pack_sequence::<f32>(&[], true);
    let unlike = pack_sequence(&[ones(&[2]).view(), ones(&[1, 2]).view()], true);
    vec![
        case(
            pack(&[4], &[4]),
            "input: expected at least 2 dimensions, (L, N, *), got 1 in shape [4]",
        ),
        case(pack(&[5, 2], &[1]), "lengths: expected 2, one for each sequence, got 1"),
        case(
            pack(&[5, 2], &[5, 6]),
            "lengths: expected at most 5, the steps (seq_len) of the input, got 6 in row 1",
        ),
        case(
            pack(&[5, 2], &[2, 3]),
            "lengths: expected descending order (enforce_sorted), got 3 in row 1 after 2",
        ),
        case(padded, "total_length: expected at least 3, the longest length, got 2"),
        case(none, "sequences: expected at least 1, got 0"),
        case(unlike, "sequence 1: expected steps of shape [], as in sequence 0, got shape [1, 2]"),
        case(
            PackedSequence::new(ones(&[4, 2]), vec![2, 1], None, None),
            "packed sequence: data: expected 3 rows, the sum of batch_sizes, got 4",
        ),
    ]
}

fn of_weights() -> Vec<Case> {
    let with = |config: Config, more: Option<(String, ArrayD<f32>)>| {
        Rnn::from_tensors(config, layer().to_tensors().into_iter().chain(more).collect())
    };
    let none = Rnn::<f32>::from_tensors(Config::new(3, 4), Vec::new());
    vec![
        case(none, "weight_ih_l0: expected a tensor of shape [4, 3], got none"),
        case(
            with(Config::new(3, 4), Some(("extra".to_owned(), ones(&[2])))),
            "extra: expected only the parameters of RNN(3, 4), got one more of shape [2]",
        ),
        case(with(Config::new(3, 5), None), "weight_ih_l0: expected shape [5, 3], got [4, 3]"),
    ]
}

fn of_checkpoints(sandbox: &Sandbox) -> Vec<Case> {
    let read = |file: &str, prefix: Option<&str>| {
        Checkpoint::read(&Source::parse(sandbox.path(file).as_os_str()), None, prefix)
    };
    let (ih, hh, single) = (ones(&[4, 3]), ones(&[4, 4]), ones(&[4, 3]).mapv(f64::from));
    let save = |file: &str, members: [(&str, &dyn AnyArray); 2]| sandbox.save_npz(file, &members);
    save("mixed.npz", [("weight_ih_l0", &single), ("weight_hh_l0", &hh)]);
    save("two.npz", [("a.weight_ih_l0", &ih), ("b.weight_ih_l0", &ih)]);
    save("linear.npz", [("fc.weight", &ih), ("fc.bias", &hh)]);
    save("lstm.npz", [("weight_ih_l0", &ones(&[16, 3])), ("weight_hh_l0", &ones(&[16, 4]))]);
    sandbox.rnn("init --input-size 3 --hidden 4 -o w -q").succeeds();
    sandbox.write("w/rnn.json", br#"{"input_size": 2, "hidden_size": 4}"#);
    let place = |file: &str, text: &str| format!("{}: {text}", sandbox.path(file).display());
    vec![
        case(
            read("w", None),
            &place("w/rnn.json", "expected input_size 3, as in the tensors, got 2"),
        ),
        case(
            read("mixed.npz", None),
            &place("mixed.npz", "weight_hh_l0: expected f64, as weight_ih_l0 is, got f32"),
        ),
        case(
            read("linear.npz", None),
            &place(
                "linear.npz",
                "expected the weights of an RNN, such as weight_ih_l0, got fc.weight, fc.bias",
            ),
        ),
        case(read("two.npz", None), &place("two.npz", "expected one layer, got 2: a, b")),
        case(
            read("two.npz", Some("c")),
            &place("two.npz", "expected a layer under the prefix 'c', got a, b"),
        ),
        case(
            read("lstm.npz", None),
            &place(
                "lstm.npz",
                "weight_hh_l0: expected the weights of an RNN, got an LSTM, which has four gates, in shape [16, 4]",
            ),
        ),
        #[cfg(feature = "onnx")]
        {
            sandbox.take("onnx/torch-lstm.onnx");
            let text = "node '/LSTM': expected an RNN, got an LSTM";
            case(read("torch-lstm.onnx", None), &place("torch-lstm.onnx", text))
        },
    ]
}

fn of_models(sandbox: &Sandbox) -> Vec<Case> {
    let read = |file: &str, config: ModelConfig| {
        let source = Source::parse(sandbox.path(file).as_os_str());
        ModelCheckpoint::read(&source, None, None, |_| Ok::<_, CheckpointError>(config))
    };
    let head = LinkConfig::parse_chain("fc").unwrap();
    let head = || ModelConfig { head: head.clone(), ..ModelConfig::default() };
    let (ih, hh, fc) = (ones(&[4, 3]), ones(&[4, 4]), ones(&[2, 4]));
    let weights: [(&str, &dyn AnyArray); 2] =
        [("rnn.weight_ih_l0", &ih), ("rnn.weight_hh_l0", &hh)];
    let two: [(&str, &dyn AnyArray); 2] = [("a.fc.weight", &fc), ("b.fc.weight", &fc)];
    sandbox.save_npz("none_around.npz", &weights);
    sandbox.save_npz("two_around.npz", &[&weights[..], &two[..]].concat());
    sandbox.take("models/max_norm.pt");
    let encoder = Some(EncoderConfig::Embedding("encoder".to_owned()));
    let normed = ModelConfig { encoder, ..ModelConfig::default() };
    let place = |file: &str, text: &str| format!("{}: {text}", sandbox.path(file).display());
    let ids = ndarray::arr1(&[0_i64, 4]).into_dyn();
    let ids = Batch::of_ids(ids.view(), None, false).unwrap();
    let wide = Decoder { function: Some(Function::Top(9)), ..Decoder::default() };
    let letters = Vocabulary::parse("a\n", Tokens::Char).unwrap();
    vec![
        case(
            read("none_around.npz", head()),
            &place("none_around.npz", "expected a module 'fc' with a weight, got none"),
        ),
        case(
            read("two_around.npz", head()),
            &place("two_around.npz", "expected one module 'fc', got 2: a.fc, b.fc"),
        ),
        case(
            read("max_norm.pt", normed),
            &place(
                "max_norm.pt",
                "encoder: expected an embedding without max_norm, which scales the rows that it looks up",
            ),
        ),
        case(
            Encoder::<f32>::one_hot(4).encode(ids),
            "input: expected ids from 0 to 3, got 4 at step 1 of sequence 0",
        ),
        case(
            Model::new(Some(Encoder::one_hot(4)), layer(), Decoder::default()),
            "the RNN: expected 4 features, as the part before it puts out, got 3",
        ),
        case(
            Model::new(None, layer(), wide),
            "top: expected from 1 to 4, the number of classes, got 9",
        ),
        case(letters.encode("ab", 3), "line 3, column 2: 'b' is not in the vocabulary"),
    ]
}

fn of_files(sandbox: &Sandbox) -> Vec<Case> {
    let open = |file: &str| {
        let source = Source::parse(sandbox.path(file).as_os_str());
        files::open(&source, Accepts::Tensor)?.into_tensor()
    };
    let place = |file: &str, text: &str| format!("{}: {text}", sandbox.path(file).display());
    sandbox.write("empty.npy", b"");
    sandbox.write("pages.pdf", b"%PDF-1.7\n");
    sandbox.write("two.npy", &[npy(&ones(&[2, 3])), npy(&ones(&[2, 3]))].concat());
    let two = open("two.npy").and_then(TensorFile::read::<f32>);
    let folder = Sink::open(&sandbox.path(""), Overwrite::Replace);
    vec![
        case(open("absent.npy"), &place("absent.npy", "No such file or directory (os error 2)")),
        case(
            open("empty.npy"),
            &place("empty.npy", "empty file; expected .npy, .npz or a table, got 0 bytes"),
        ),
        #[cfg(feature = "csv")]
        {
            sandbox.write("large.csv", b"1,1e39\n");
            let table = open("large.csv").and_then(TensorFile::read::<f32>);
            let text = "line 1, column 2: expected a number that f32 holds, got '1e39'";
            case(table, &place("large.csv", text))
        },
        #[cfg(feature = "csv")]
        {
            sandbox.write("names.csv", b"0,1\n0.5,0.25\n");
            let text = "line 1: expected names (--header) or numbers (--no-header), got numbers like names above '0.5'";
            let source = Source::parse(sandbox.path("names.csv").as_os_str());
            let table = files::open(&source, Accepts::Sequences).and_then(files::File::into_tensor);
            case(table, &place("names.csv", text))
        },
        case(
            open("pages.pdf"),
            &place("pages.pdf", "expected .npy, .npz or a table, got what looks like PDF"),
        ),
        case(two, &place("two.npy", "expected one array, got more than one")),
        case(folder, &place("", "cannot be written: is a directory; expected a file")),
    ]
}

/// Failures of the system: a failed read, and memory that cannot be allocated.
fn of_the_machine() -> Vec<Case> {
    // The first page of a process is never mapped, so reading it fails.
    let memory = files::open(&Source::parse("/proc/self/mem".as_ref()), Accepts::Tensor);
    let full = Sink::open(Path::new("/dev/full"), Overwrite::Replace);
    let full = full.and_then(|mut sink| sink.write(|to| to.write_all(b"x")));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.npz");
    let held = Lock::take(&file).unwrap();
    let (second, holder) = (Lock::take(&file), std::process::id());
    drop(held);
    let in_use = format!("{}: in use by process {holder}; try again", file.display());
    // More than the half of all addresses that a process has on any system, and a number that overflows.
    let huge = 1_usize << (usize::BITS - 3);
    let (refused, overflows) =
        (elman::zeros::<u8>(&[huge], "input"), elman::zeros::<f32>(&[usize::MAX, 2], "input"));
    vec![
        case(memory, "/proc/self/mem: Input/output error (os error 5)"),
        case(second, &in_use),
        case(full, "/dev/full: No space left on device (os error 28)"),
        case(refused.map_err(Error::from), &format!("out of memory: input needs {huge} bytes")),
        case(
            overflows.map_err(FileError::from),
            &format!("out of memory: input needs more than {} bytes", usize::MAX),
        ),
    ]
}
