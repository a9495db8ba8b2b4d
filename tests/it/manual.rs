//! `rnn completions`, `rnn man` and `rnn help python`.

use crate::support::Sandbox;

#[test]
fn every_shell_has_its_completions() {
    for (shell, start) in [
        ("bash", "_rnn() {"),
        ("zsh", "#compdef rnn"),
        ("fish", "# Print an optspec"),
        ("powershell", "\nusing namespace"),
        ("elvish", "\nuse builtin;"),
    ] {
        let text = Sandbox::new().rnn(&format!("completions {shell}")).succeeds().stdout_text();
        assert!(text.starts_with(start), "{shell}: {}", &text[..40]);
        assert!(text.contains("hidden-size"), "{shell}");
    }
}

#[test]
fn each_command_has_a_page() {
    let sandbox = Sandbox::new();
    let page = sandbox.rnn("man").succeeds().stdout_text();
    assert!(page.contains(".TH rnn 1 "), "{page}");
    for command in ["run", "init", "convert", "stream"] {
        let page = sandbox.rnn(&format!("man {command}")).succeeds().stdout_text();
        assert!(page.contains(&format!(".TH rnn-{command} 1 ")), "{page}");
        assert!(page.contains("SYNOPSIS"), "{page}");
    }
    sandbox.rnn("man go").fails(2, "rnn: expected a command, got 'go'\nhint: rnn --help\n");
}

#[test]
fn numpys_pipes_are_explained() {
    let sandbox = Sandbox::new();
    let text = sandbox.rnn("python").succeeds().stdout_text();
    assert!(text.starts_with("How NumPy's arrays go through pipes.\n"), "{text}");
    let help = sandbox.rnn("help python").succeeds().stdout_text();
    assert!(help.starts_with(&text), "{help}");
}

/// The lines of the manual, run by a NumPy where there is one.
#[test]
fn numpys_pipes_work() {
    let sandbox = Sandbox::new();
    if sandbox.shell("python3 -c 'import numpy' 2>/dev/null").code != Some(0) {
        return;
    }
    sandbox.rnn("init --input-size 3 --hidden 4 -o w.npz -q").succeeds();
    let text = sandbox.rnn("python").succeeds().stdout_text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
    let lines: Vec<_> = lines.filter(|line| !line.starts_with("np.savez(")).collect();
    let (whole, rest) = lines.split_at(6);
    let script = format!(
        "import sys\nimport numpy as np\nx = np.ones((5, 2, 3), 'float32')\n{}\n{}\n\
         assert np.array_equal(np.concatenate([step(x[:2]), step(x[2:])]), output)\n",
        whole.join("\n"),
        rest[2..].join("\n"),
    );
    sandbox.write("go.py", script.as_bytes());
    sandbox.shell("timeout 60 python3 go.py").succeeds();
}
