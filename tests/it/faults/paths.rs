//! Rows 82, 83 and 92: what a path leads to.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use super::{OLD, Scene};

#[test]
fn fault_82() {
    let scene = Scene::new();
    scene.succeeds(
        "rnn init -q --input-size 3 --hidden 4 -o w; mkdir parts
        printf '{\"weight_map\":{\"weight_ih_l0\":\"part.safetensors\"}}' > parts/m.safetensors.index.json",
    );
    let _listener = UnixListener::bind(scene.sandbox.path("socket")).unwrap();
    let kinds = [("mkfifo", "pipe"), ("ln -s /dev/zero", "device"), ("mv socket", "socket")];
    for (make, kind) in kinds {
        for (file, folder) in [
            ("w/zz.npy", "w"),
            ("w/rnn.json", "w"),
            ("parts/part.safetensors", "parts"),
            ("parts/part.safetensors", "parts/m.safetensors.index.json"),
            ("parts/a.index.json", "parts"),
        ] {
            scene.succeeds(&format!("if test -e {file}; then mv {file} kept; fi; {make} {file}"));
            let what = format!("rnn: {file}: expected a regular file, got a {kind}\n");
            for line in [
                format!("run -w {folder} -i x.npy -o y.npy"),
                format!("convert {folder} y.npz"),
                format!("info {folder}"),
            ] {
                scene.refuses(&format!("timeout 5 rnn {line}"), 65, &[&what]);
            }
            let back =
                if kind == "socket" { format!("mv {file} socket") } else { format!("rm {file}") };
            scene.succeeds(&format!("{back}; if test -e kept; then mv kept {file}; fi"));
        }
    }
    // A file beside other weights does not delay them either.
    scene.succeeds("mkfifo a.index.json; timeout 5 rnn run -w w.npz -i x.npy -o y.npy");
}

/// A pipe by its name is read as before, and a source waits for its writer.
#[test]
fn fault_82_of_pipes_that_are_meant() {
    let scene = Scene::new();
    let expected = scene.succeeds("rnn run -q -w w.npz -i x.npy -o -").stdout;
    scene.succeeds("mkfifo pipe");
    for script in [
        "(sleep 0.2; cat x.npy > pipe) & timeout 5 rnn run -q -w w.npz -i pipe -o -",
        "(sleep 0.2; cat w.npz > pipe) & timeout 5 rnn run -q -w pipe -i x.npy -o -",
        "(sleep 0.2; exec > pipe; sleep 0.2; cat x.npy) & timeout 5 rnn run -q -w w.npz -i pipe -o -",
        "timeout 5 rnn run -q -w w.npz -i <(sleep 0.2; cat x.npy) -o -",
    ] {
        assert_eq!(scene.succeeds(script).stdout, expected, "{script}");
    }
    let script = "(sleep 0.2; true > pipe) & timeout 5 rnn run -q -w w.npz -i pipe -o y.npy";
    scene.refuses(script, 65, &["pipe: empty file"]);
}

/// Replacements of the folder while it is read.
const REPLACEMENTS: usize = 150;

#[test]
fn fault_83() {
    let scene = Scene::new();
    // The names of the smaller layer are among those of the other one: a listing in between would pass for it.
    scene.succeeds(
        "rnn init -q --input-size 3 --hidden 4 --num-layers 2 -o a
        rnn init -q --input-size 3 --hidden 4 --no-bias -o b; cp -r b w",
    );
    let run = |weights| scene.succeeds(&format!("rnn run -q -w {weights} -i x.npy -o -")).stdout;
    let layers = [run("a"), run("b")];
    let script = format!(
        "for i in $(seq {REPLACEMENTS}); do rnn convert -q a w && rnn convert -q b w || exit; done"
    );
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_rnn")).parent().unwrap();
    let mut writer = Command::new("bash")
        .args(["-c", &script])
        .env("PATH", format!("{}:{path}", folder.display()))
        .current_dir(scene.sandbox.path(""))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut found = [0, 0];
    let status = loop {
        let outcome = scene.sandbox.rnn("run -q -w w -i x.npy -o -").succeeds();
        let layer = layers.iter().position(|own| *own == outcome.stdout);
        found[layer.expect("the old layer or the new one")] += 1;
        if let Some(status) = writer.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success() && found.iter().all(|&found| found > 0), "{status}: {found:?}");
    assert_eq!(scene.sandbox.names(), ["a", "b", "w", "w.npz", "x.npy", "y.npy"]);
}

#[test]
fn fault_92() {
    let scene = Scene::new();
    scene.succeeds(
        "for w in w.safetensors w v.npy; do rnn convert -q w.npz $w; done 2> /dev/null
        ln w.npz hard; ln -s w.npz soft; cp w.npz output.npz; ln -s w/new.npy into; mkfifo pipe
        cp w.npz cut; cp w.npz w.onnx; rnn convert -q w.npz w.onnx 2> /dev/null
        rnn pack -q -i x.npy --lengths 5,3 -o packed.npz",
    );
    for (line, output) in [
        ("-w w.npz --all-hidden w.npz", "w.npz for all hidden states"),
        ("-w w.npz --all-hidden ./w.npz", "./w.npz for all hidden states"),
        ("-w w.npz -o hard", "hard for output"),
        ("-w w.npz -o y.npy --hn soft", "soft for h_n"),
        ("-w hard --last $PWD/soft", "/soft for last"),
        ("-w w.npz --seed 1 --rng w.npz", "w.npz for the generator"),
        ("-w w.npz --rng soft", "soft for the generator"),
        ("-w w.npz -o - >> w.npz", "stdout for output"),
        ("-w w.npz -o /dev/fd/3 3>> w.npz", "/dev/fd/3 for output"),
        ("-w - -o hard < w.npz", "hard for output"),
        (
            "-w w.safetensors --all-hidden y.npz --hn /dev/stdout >> w.safetensors",
            "/dev/stdout for h_n",
        ),
        ("-w w.onnx -o - >> w.onnx", "stdout for output"),
        ("-w pipe -o pipe", "pipe for output"),
    ] {
        let what = format!("expected an output other than the weights, got {output}\n");
        let what = if line.contains("$PWD") { format!("{output}\n") } else { what };
        let script = format!("timeout 5 rnn run -i x.npy {line}");
        scene.refuses(&script, 2, &["expected an output other than the weights, got ", &what]);
    }
    let what = "expected an output other than the weights, got output.npz for output\n";
    scene.refuses("rnn run -w output.npz -i packed.npz", 2, &[what]);
    for (line, output) in [
        ("-w w -o w/y.npy", "w/y.npy"),
        ("-w w -o y.npy --hn into", "into"),
        ("-w w/ -o y.npy --rng w/rng.npy --seed 1", "w/rng.npy"),
    ] {
        let what = format!("expected outputs outside the folder of the weights, got {output}\n");
        scene.refuses(&format!("rnn run -i x.npy {line}"), 2, &[&what]);
    }
    for (line, output) in [
        ("--state w.npz", "w.npz for the state"),
        ("--state hard", "hard for the state"),
        (">> w.npz", "stdout for the outputs"),
    ] {
        let what = format!("expected an output other than the weights, got {output}\n");
        scene.refuses(&format!("rnn stream -w w.npz {line} < x.npy"), 2, &[&what]);
    }
    scene.refuses("rnn stream -w w --state w/s.npz < x.npy", 2, &["outside the folder"]);
    // Every other input may be an output.
    scene.succeeds(
        "rnn run -q -w output.npz -i x.npy && rnn convert -q w w && rnn convert -q w.npz hard.npz",
    );
    scene.succeeds("rnn run -q -w w -i x.npy -o x2.npy --hn h.npy");
    scene.succeeds("rnn run -q -w w -i x.npy --h0 h.npy --hn h.npy && rnn convert -q w.npz w.npz");
    assert_ne!(fs::read(scene.sandbox.path("h.npy")).unwrap(), OLD);
}
