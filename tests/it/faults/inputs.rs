//! Rows 1 to 32: the input.

use super::Scene;

#[test]
fn fault_01() {
    let scene = Scene::new();
    scene.refuses("rnn run -w w.npz -i nope.npy -o y.npy", 66, &["nope.npy: No such file"]);
}

#[test]
fn fault_04() {
    Scene::new().refuses_input(b"", &["empty file; expected .npy"]);
}

#[test]
fn fault_02() {
    let scene = Scene::new();
    scene.refuses("rnn run -w w.npz -i /tmp -o y.npy", 66, &["/tmp: is a directory"]);
    scene.refuses("rnn run -w w.npz -i . -o y.npy", 66, &[".: is a directory"]);
}
