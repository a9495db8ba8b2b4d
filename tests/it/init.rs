//! `rnn init`: PyTorch's weights, bit for bit, in each format, and the fate of existing outputs.

use std::fs;
use std::io::Cursor;

use elman::Element;
use ndarray::ArrayD;
use serde::Deserialize;
use serde_json::{Value, json};
use zip::ZipArchive;

use crate::support::{Sandbox, cases, fixture, fixture_path, state_file};

/// An entry of the section `init` of `cases.json`.
#[derive(Debug, Deserialize)]
struct Fresh {
    name: String,
    seed: String,
    input_size: usize,
    hidden_size: usize,
    num_layers: usize,
    bias: bool,
    bidirectional: bool,
    dtype: String,
    state: Option<String>,
}

impl Fresh {
    /// The flags of `rnn init` for this layer, without the output.
    fn flags(&self) -> String {
        let Fresh { seed, input_size, hidden_size, num_layers, dtype, .. } = self;
        let no_bias = if self.bias { "" } else { "--no-bias" };
        let both = if self.bidirectional { "--bidirectional" } else { "" };
        format!(
            "--input-size {input_size} --hidden-size {hidden_size} --num-layers {num_layers} \
             --seed {seed} --dtype {dtype} {no_bias} {both}"
        )
    }

    /// The configuration, byte for byte as in `rnn.json` and in the comment of an archive.
    fn text(&self) -> String {
        let Fresh { input_size, hidden_size, num_layers, bias, bidirectional, .. } = self;
        format!(
            r#"{{
  "input_size": {input_size},
  "hidden_size": {hidden_size},
  "num_layers": {num_layers},
  "nonlinearity": "tanh",
  "bias": {bias},
  "batch_first": false,
  "dropout": 0.0,
  "bidirectional": {bidirectional}
}}
"#
        )
    }
}

/// Names of the parameters of each layer in `init.npz`, in PyTorch's order.
fn names_of_pytorch(layer: &str) -> Vec<String> {
    let prefix = format!("{layer}.");
    let members = members(&fs::read(fixture_path("init.npz")).unwrap());
    let names = members.iter().filter_map(|name| name.strip_prefix(&prefix));
    names.filter(|&name| name != "state").map(str::to_owned).collect()
}

/// Names of the members of an archive, in their order, without `.npy`.
fn members(archive: &[u8]) -> Vec<String> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).unwrap();
    let names = (0..archive.len()).map(|index| {
        let name = archive.by_index(index).unwrap().name().unwrap().into_owned();
        name.strip_suffix(".npy").unwrap().to_owned()
    });
    names.collect()
}

/// The shape of an array and its bits; an f64 holds an f32 exactly.
fn exactly<T: Element>(array: &ArrayD<T>) -> (Vec<usize>, Vec<u64>) {
    (array.shape().to_vec(), array.iter().map(|&x| x.into().to_bits()).collect())
}

#[test]
fn weights_are_those_of_pytorch() {
    fn check<T: Element>(fresh: &Fresh) {
        let sandbox = Sandbox::new();
        let flags = fresh.flags();
        sandbox.rnn(&format!("init {flags} --rng rng.npy -o w --report none")).succeeds();
        sandbox.rnn(&format!("init {flags} -o w.npz --report none")).succeeds();
        assert_eq!(sandbox.names(), ["rng.npy", "w", "w.npz"]);

        let names = names_of_pytorch(&fresh.name);
        for name in &names {
            let expected = exactly(&fixture::<T>(&format!("init.npz:{}.{name}", fresh.name)));
            for place in [format!("w/{name}.npy"), format!("w.npz:{name}")] {
                let got = exactly(&sandbox.load::<T>(&place));
                assert_eq!(got, expected, "{}: {place}", fresh.name);
            }
        }

        let mut files: Vec<_> = names.iter().map(|name| format!("{name}.npy")).collect();
        files.push("rnn.json".to_owned());
        files.sort();
        assert_eq!(folder(&sandbox, "w"), files);
        assert_eq!(String::from_utf8(sandbox.bytes("w/rnn.json")).unwrap(), fresh.text());

        let archive = sandbox.bytes("w.npz");
        assert_eq!(members(&archive), names, "the order of the state_dict");
        let archive = ZipArchive::new(Cursor::new(&archive)).unwrap();
        assert_eq!(std::str::from_utf8(archive.comment()).unwrap(), fresh.text());

        if let Some(state) = &fresh.state {
            assert!(sandbox.bytes("rng.npy") == state_file(state), "{}: the state", fresh.name);
        }
    }
    let layers: Vec<Fresh> = cases("/init");
    assert_eq!(layers.len(), 16);
    for fresh in layers {
        match fresh.dtype.as_str() {
            "f32" => check::<f32>(&fresh),
            _ => check::<f64>(&fresh),
        }
    }
}

/// Names of everything in a folder, sorted.
fn folder(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path(name)).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_choice_is_saved() {
    let sandbox = Sandbox::new();
    let flags = "--input-size 3 --hidden 5 --layers 2 --nonlinearity relu --no-bias --batch-first \
                 --dropout 0.25 --bidirectional --report none";
    sandbox.rnn(&format!("init {flags} -o w")).succeeds();
    let found: Value = serde_json::from_slice(&sandbox.bytes("w/rnn.json")).unwrap();
    let expected = json!({
        "input_size": 3, "hidden_size": 5, "num_layers": 2, "nonlinearity": "relu", "bias": false,
        "batch_first": true, "dropout": 0.25, "bidirectional": true,
    });
    assert_eq!(found, expected);
}

#[test]
fn text_report() {
    let sandbox = Sandbox::new();
    let line = "init --input-size 3 --hidden 5 --layers 2 --bidirectional --dropout 0.5 --seed 0 \
                --rng rng.npy -o w/";
    let expected = "\
RNN(3, 5, num_layers=2, dropout=0.5, bidirectional=True), tanh, f32, 270 parameters
weights               w/
seed                  0
weight_ih_l0          [5, 3] hidden_size 5, input_size 3                f32
weight_hh_l0          [5, 5] hidden_size 5, hidden_size 5               f32
bias_ih_l0            [5] hidden_size 5                                 f32
bias_hh_l0            [5] hidden_size 5                                 f32
weight_ih_l0_reverse  [5, 3] hidden_size 5, input_size 3                f32
weight_hh_l0_reverse  [5, 5] hidden_size 5, hidden_size 5               f32
bias_ih_l0_reverse    [5] hidden_size 5                                 f32
bias_hh_l0_reverse    [5] hidden_size 5                                 f32
weight_ih_l1          [5, 10] hidden_size 5, directions*hidden_size 10  f32
weight_hh_l1          [5, 5] hidden_size 5, hidden_size 5               f32
bias_ih_l1            [5] hidden_size 5                                 f32
bias_hh_l1            [5] hidden_size 5                                 f32
weight_ih_l1_reverse  [5, 10] hidden_size 5, directions*hidden_size 10  f32
weight_hh_l1_reverse  [5, 5] hidden_size 5, hidden_size 5               f32
bias_ih_l1_reverse    [5] hidden_size 5                                 f32
bias_hh_l1_reverse    [5] hidden_size 5                                 f32
rng                                                                          rng.npy
";
    assert_eq!(sandbox.rnn(line).succeeds().stdout_text(), expected);
}

#[test]
fn json_report() {
    let sandbox = Sandbox::new();
    let line =
        "init --input-size 3 --hidden 5 --dropout 0.5 --dtype f64 --seed -1 -o w.npz --report json";
    let tensor = |name: &str, shape: &[usize], axes: &[&str]| json!({"name": name, "shape": shape, "axes": axes, "dtype": "f64", "file": null});
    let expected = json!({
        "command": "init",
        "layer": {
            "input_size": 3, "hidden_size": 5, "num_layers": 1, "nonlinearity": "tanh",
            "bias": true, "batch_first": false, "dropout": 0.5, "bidirectional": false,
            "repr": "RNN(3, 5, dropout=0.5)", "dtype": "f64", "parameters": 50,
        },
        "weights": "w.npz",
        "seed": u64::MAX,
        "rng": null,
        "tensors": [
            tensor("weight_ih_l0", &[5, 3], &["hidden_size", "input_size"]),
            tensor("weight_hh_l0", &[5, 5], &["hidden_size", "hidden_size"]),
            tensor("bias_ih_l0", &[5], &["hidden_size"]),
            tensor("bias_hh_l0", &[5], &["hidden_size"]),
        ],
        "mode": null,
        "kernel": null,
        "threads": null,
        "seconds": null,
        "assumptions": {},
        "notes": [],
        "warnings": ["dropout 0.5 has no effect: it acts between layers, and there is one"],
    });
    // As text, so that the order of the fields counts.
    assert_eq!(sandbox.rnn(line).succeeds().stdout_text(), format!("{expected}\n"));
}

#[test]
fn dropout_of_one_layer_gives_a_warning() {
    let sandbox = Sandbox::new();
    let printed = sandbox.rnn("init --input-size 1 --hidden 1 --dropout 0.5 -o w").succeeds();
    let expected = "\
RNN(1, 1, dropout=0.5), tanh, f32, 4 parameters
weights       w
seed          67280421310721
weight_ih_l0  [1, 1] hidden_size 1, input_size 1   f32
weight_hh_l0  [1, 1] hidden_size 1, hidden_size 1  f32
bias_ih_l0    [1] hidden_size 1                    f32
bias_hh_l0    [1] hidden_size 1                    f32
warning: dropout 0.5 has no effect: it acts between layers, and there is one
";
    assert_eq!(printed.stdout_text(), expected);
}

#[test]
fn standard_output_takes_an_archive() {
    let sandbox = Sandbox::new();
    let flags = "--input-size 1 --hidden 2 --seed 0";
    sandbox.rnn(&format!("init {flags} -o w.npz --report none")).succeeds();
    let printed = sandbox.rnn(&format!("init {flags} -o - --report none")).succeeds();
    assert!(printed.stdout == sandbox.bytes("w.npz"), "the same bytes as in a file");
    assert_eq!(sandbox.names(), ["w.npz"]);
}

/// The report names standard output as it does after `run` and `randn`.
#[test]
fn the_report_goes_to_standard_error_if_the_weights_go_to_standard_output() {
    let sandbox = Sandbox::new();
    let printed = sandbox.rnn("init --input-size 1 --hidden 2 --seed 0 -o -");
    let expected = "\
RNN(1, 2), tanh, f32, 10 parameters
weights       stdout
seed          0
weight_ih_l0  [2, 1] hidden_size 2, input_size 1   f32
weight_hh_l0  [2, 2] hidden_size 2, hidden_size 2  f32
bias_ih_l0    [2] hidden_size 2                    f32
bias_hh_l0    [2] hidden_size 2                    f32
";
    assert_eq!((printed.code, printed.stderr.as_str()), (Some(0), expected));
}

#[test]
fn a_folder_of_weights_is_replaced_as_one() {
    let sandbox = Sandbox::new();
    let flags = "--input-size 3 --hidden 5 --report none";
    sandbox.rnn(&format!("init {flags} --layers 2 --bidirectional -o w")).succeeds();
    for path in ["w", "w/", "./w"] {
        sandbox.rnn(&format!("init {flags} --no-bias -o {path}")).succeeds();
        assert_eq!(folder(&sandbox, "w"), ["rnn.json", "weight_hh_l0.npy", "weight_ih_l0.npy"]);
        assert_eq!(sandbox.names(), ["w"]);
    }
}

#[test]
fn an_empty_folder_and_an_archive_are_replaced() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("w")).unwrap();
    sandbox.write("w.npz", b"something else");
    for target in ["w", "w.npz"] {
        let line = format!("init --input-size 3 --hidden 5 --no-bias --report none -o {target}");
        sandbox.rnn(&line).succeeds();
    }
    assert_eq!(folder(&sandbox, "w"), ["rnn.json", "weight_hh_l0.npy", "weight_ih_l0.npy"]);
    assert_eq!(members(&sandbox.bytes("w.npz")), ["weight_ih_l0", "weight_hh_l0"]);
    assert_eq!(sandbox.names(), ["w", "w.npz"]);
}

#[test]
fn a_folder_with_other_files_is_kept() {
    for other in ["notes.txt", "x.npy", "weight_ih_l00.npy", "bias_l0.npy"] {
        let sandbox = Sandbox::new();
        sandbox.rnn("init --input-size 3 --hidden 5 --report none -o w").succeeds();
        sandbox.write(&format!("w/{other}"), b"precious");
        let before: Vec<_> = folder(&sandbox, "w");
        let weights = sandbox.bytes("w/weight_ih_l0.npy");

        let stderr = format!(
            "rnn: w: cannot be written: expected a folder of weights alone, got {other} in it\n"
        );
        sandbox
            .rnn("init --input-size 4 --hidden 6 --rng rng.npy --seed 0 -o w")
            .fails(73, &stderr);
        assert_eq!(folder(&sandbox, "w"), before);
        assert_eq!(sandbox.bytes(&format!("w/{other}")), b"precious");
        assert!(sandbox.bytes("w/weight_ih_l0.npy") == weights);
        assert_eq!(sandbox.names(), ["w"], "no state of a generator that has given nothing");
    }
}

#[test]
fn a_link_to_a_folder_is_followed_with_and_without_a_slash() {
    let sandbox = Sandbox::new();
    let init = "init --input-size 3 --hidden 5 --report none -o";
    for target in ["w", "w/"] {
        sandbox.shell(&format!("rm -rf w link; mkdir w; ln -s {target} link")).succeeds();
        for path in ["link", "link/", "link//"] {
            sandbox.rnn(&format!("{init} {path}")).succeeds();
            assert_eq!(folder(&sandbox, "w").len(), 5);
            assert_eq!(sandbox.names(), ["link", "w"]);
            assert!(fs::symlink_metadata(sandbox.path("link")).unwrap().is_symlink());
        }
    }
}

#[test]
fn a_folder_without_a_name_cannot_be_replaced() {
    let sandbox = Sandbox::new();
    for path in [".", "./", "..", "/", "w/.."] {
        let message = format!("rnn: {path}: cannot be written: expected the name of a folder\n");
        sandbox.rnn(&format!("init --input-size 3 --hidden 5 -o {path}")).fails(73, &message);
    }
    assert_eq!(sandbox.names(), [""; 0]);
}

#[test]
fn the_state_does_not_go_into_the_weights() {
    let sandbox = Sandbox::new();
    sandbox.shell("mkdir w; ln -s w link").succeeds();
    let names = sandbox.names();
    for path in ["w/rng.npy", "./w/rng.npy", "link/rng.npy"] {
        let found =
            sandbox.rnn(&format!("init --input-size 3 --hidden 5 -o w --seed 1 --rng {path}"));
        assert_eq!(found.code, Some(2), "{}", found.stderr);
        assert!(found.stderr.contains(&format!("got {path} for --rng and the output")));
    }
    assert_eq!((sandbox.names(), folder(&sandbox, "w").len()), (names, 0));
}

#[test]
fn no_clobber_keeps_weights() {
    let sandbox = Sandbox::new();
    for target in ["w", "w.npz"] {
        let line = format!("init --input-size 3 --hidden 5 --report none --no-clobber -o {target}");
        sandbox.rnn(&line).succeeds();
        let stderr =
            format!("rnn: {target}: cannot be written: exists, and --no-clobber keeps it\n");
        sandbox.rnn(&line).fails(73, &stderr);
    }
}

#[test]
fn the_message_names_the_missing_flag() {
    let sandbox = Sandbox::new();
    let stderr = "rnn: expected --input-size, the features of one step, got none\n\
                  hint: rnn init --hidden 5 -o w --input-size 10\n";
    sandbox.rnn("init --hidden 5 -o w").fails(2, stderr);
    let stderr = "rnn: expected --hidden-size, the features of a hidden state, got none\n\
                  hint: rnn init --input-size 3 -o w --hidden-size 20\n";
    sandbox.rnn("init --input-size 3 -o w").fails(2, stderr);
    let stderr = "rnn: the following required arguments were not provided: --output <PATH>\n\
                  hint: rnn init --help\n";
    sandbox.rnn("init --input-size 3 --hidden 5").fails(2, stderr);
    let stderr = "rnn: w.pt: expected a folder, .npz, .safetensors, .onnx or - for weights, got .pt\n\
                  hint: rnn init --input-size 3 --hidden 5 -o weights/\n";
    sandbox.rnn("init --input-size 3 --hidden 5 -o w.pt").fails(2, stderr);
    assert_eq!(sandbox.names(), [""; 0]);
}

/// A random seed is reported, and gives the same weights if it is typed.
#[test]
fn a_random_seed_can_be_repeated() {
    let sandbox = Sandbox::new();
    let line = "init --input-size 3 --hidden 5 --report json";
    let seeds = ["a.npz", "b.npz"].map(|output| {
        let printed = sandbox.rnn(&format!("{line} --seed random -o {output}")).succeeds();
        serde_json::from_slice::<Value>(&printed.stdout).unwrap()["seed"].as_u64().unwrap()
    });
    assert_ne!(seeds[0], seeds[1]);
    sandbox.rnn(&format!("{line} --seed {} -o again.npz", seeds[0])).succeeds();
    assert!(sandbox.bytes("a.npz") == sandbox.bytes("again.npz"));
    assert!(sandbox.bytes("a.npz") != sandbox.bytes("b.npz"));
}
