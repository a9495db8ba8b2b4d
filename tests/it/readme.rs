//! The README does what it says: every line behind a `$` is run, and prints what stands below it.

use crate::support::{Sandbox, fixture, fixture_path, largest_difference, without_measured};

/// Console blocks of the README: each line behind a `$`, with the lines that it prints.
fn commands() -> Vec<(String, String)> {
    let readme = include_str!("../../README.md");
    let blocks = readme.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut commands = Vec::new();
    for block in blocks {
        for command in block.split("$ ").skip(1) {
            let (line, printed) = command.split_once('\n').unwrap();
            commands.push((line.to_owned(), printed.to_owned()));
        }
    }
    commands
}

#[test]
fn every_command_prints_what_the_readme_shows() {
    let sandbox = Sandbox::new();
    std::os::unix::fs::symlink(fixture_path(""), sandbox.path("fixtures")).unwrap();
    let commands = commands();
    assert_eq!(commands.len(), 11);
    for (line, printed) in commands {
        // In a terminal both streams are seen.
        let found = sandbox.shell(&format!("( {line} ) 2>&1")).succeeds();
        assert_eq!(without_measured(&found.stdout_text()), without_measured(&printed), "{line}");
    }
}

/// How far f32 results may be from PyTorch's: some roundings of 6e-8 on either side.
const TOLERANCE: f64 = 1e-6;

#[test]
fn the_first_command_of_the_readme_computes_what_pytorch_does() {
    let sandbox = Sandbox::new();
    sandbox.take("x.npy");
    sandbox.rnn("run --input x.npy --hidden 20 --layers 2").succeeds();
    for (name, expected) in [("output", "fresh_output"), ("h_n", "fresh_h_n")] {
        let found = sandbox.load::<f32>(&format!("{name}.npy"));
        let expected = fixture::<f32>(&format!("seed-doc.npz:{expected}"));
        assert!(largest_difference(&found, &expected) < TOLERANCE, "{name}");
        // Those bytes stand in the fixtures, so that other machines can be held against them.
        let golden = std::fs::read(fixture_path(&format!("readme-{name}.npy"))).unwrap();
        assert!(sandbox.bytes(&format!("{name}.npy")) == golden, "{name}");
    }
}
