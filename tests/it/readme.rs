//! The README and the pages of `docs/` are true: each command behind a `$` prints the lines below it, each link leads to a
//! file, each flag exists, and the table of the JSON report lists the fields of a report.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Sandbox, fixture, fixture_path, largest_difference, without_measured};

/// The README, and the pages that it links to.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = fs::read_dir(root.join("docs")).unwrap();
    let docs = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let others = ["README.md", "SECURITY.md", "fuzz/README.md", "benches/README.md"];
    let paths = others.into_iter().map(|name| root.join(name)).chain(docs);
    paths.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The commands in the console blocks of a page, each with the lines that it prints.
fn commands(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands = blocks.flat_map(|block| block.split("$ ").skip(1));
    commands.map(|command| command.split_once('\n').unwrap()).collect()
}

#[test]
fn every_command_prints_the_lines_below_it() {
    let mut count = 0;
    for (path, page) in pages() {
        let sandbox = Sandbox::new();
        std::os::unix::fs::symlink(fixture_path(""), sandbox.path("fixtures")).unwrap();
        for (line, printed) in commands(&page) {
            // A terminal shows both streams. The line may end in a comment.
            let found = sandbox.shell(&format!("( {line}\n) 2>&1")).succeeds();
            let found = without_measured(&found.stdout_text());
            assert_eq!(found, without_measured(printed), "{}: {line}", path.display());
            count += 1;
        }
    }
    assert_eq!(count, 74);
}

#[test]
fn every_link_leads_to_a_file() {
    for (path, page) in pages() {
        for link in page.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
            let target = path.parent().unwrap().join(link);
            assert!(target.exists(), "{}: {link}", path.display());
        }
    }
}

/// Flags of cargo, rustup, pip, docker, `elman.dask` and the scripts of `fixtures/`.
const FLAGS_OF_OTHER_PROGRAMS: [&str; 14] = [
    "--all-features",
    "--bench",
    "--locked",
    "--no-deps",
    "--path",
    "--release",
    "--retries",
    "--rm",
    "--rnn",
    "--scheduler",
    "--speed",
    "--toolchain",
    "--warmup",
    "--workers",
];

#[test]
fn every_flag_exists() {
    let sandbox = Sandbox::new();
    let commands =
        "run stream generate score init convert info explain plot diff randn pack unpack bench";
    let help = |command| sandbox.rnn(&format!("{command} --help")).succeeds().stdout_text();
    let helps: String = commands.split(' ').map(help).collect();
    let known: Vec<_> = helps.split(is_outside_a_flag).collect();
    for (path, page) in pages() {
        for word in page.split(is_outside_a_flag).filter(|word| is_flag(word)) {
            let exists = known.contains(&word) || FLAGS_OF_OTHER_PROGRAMS.contains(&word);
            assert!(exists, "{}: {word}", path.display());
        }
    }
}

fn is_outside_a_flag(letter: char) -> bool {
    !(letter.is_ascii_alphanumeric() || letter == '-')
}

fn is_flag(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
}

#[test]
fn the_page_lists_the_fields_of_the_report() {
    let page = include_str!("../../docs/report-and-exit-codes.md");
    let table = page.split("| field | value |\n|---|---|\n").nth(1).unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let names = rows.map(|row| row.split('|').nth(1).unwrap());
    let fields = names.flat_map(|names| names.split('`').skip(1).step_by(2));
    let report = Sandbox::new().rnn("randn --shape 2,3 -o x.npy --report json").succeeds();
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert!(fields.eq(report.as_object().unwrap().keys()));
}

/// Largest difference from PyTorch's f32 results: some roundings of 6e-8 on either side.
const TOLERANCE: f64 = 1e-6;

#[test]
fn the_first_command_of_the_readme_computes_the_results_of_pytorch() {
    let sandbox = Sandbox::new();
    sandbox.take("x.npy");
    sandbox.rnn("run --input x.npy --hidden 20 --layers 2").succeeds();
    for (name, expected) in [("output", "fresh_output"), ("h_n", "fresh_h_n")] {
        let found = sandbox.load::<f32>(&format!("{name}.npy"));
        let expected = fixture::<f32>(&format!("seed-doc.npz:{expected}"));
        assert!(largest_difference(&found, &expected) < TOLERANCE, "{name}");
        // The fixtures hold the same bytes, for a comparison on other machines.
        let golden = fs::read(fixture_path(&format!("readme-{name}.npy"))).unwrap();
        assert!(sandbox.bytes(&format!("{name}.npy")) == golden, "{name}");
    }
}
