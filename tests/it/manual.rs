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
fn the_manual_for_python_is_printed() {
    let sandbox = Sandbox::new();
    let text = sandbox.rnn("python").succeeds().stdout_text();
    assert!(text.starts_with("How NumPy's arrays go through pipes.\n"), "{text}");
    let help = sandbox.rnn("help python").succeeds().stdout_text();
    assert!(help.starts_with(&text), "{help}");
}

/// Runs the lines of the manual, if NumPy is installed.
#[test]
fn the_lines_of_the_manual_for_python_run() {
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

/// Code and tables are neither filled nor hyphenated.
#[test]
fn indented_lines_of_a_page_stay_as_they_are() {
    let sandbox = Sandbox::new();
    let page = sandbox.rnn("man python").succeeds().stdout_text();
    let code = ".PP\n.nf\n    x = np.load(io.BytesIO(sys.stdin.buffer.read()))\n    np.save(open(1, \\*(Aqwb\\*(Aq, 0), x)\n.fi\n.PP\n";
    assert!(page.contains(code), "{page}");
    assert_eq!(page.matches(".nf\n").count(), page.matches(".fi\n").count());
    let page = sandbox.rnn("man help").succeeds().stdout_text();
    assert!(page.contains(".TH rnn-help 1 ") && !page.contains("rnn\\-help\\-"), "{page}");
}

#[test]
fn completions_offer_named_values() {
    let sandbox = Sandbox::new();
    let script = |line: &str, word: &str| {
        let count = line.split(' ').count() - 1;
        format!(
            "source <(rnn completions bash); COMP_WORDS=({line} ''); COMP_CWORD={}; \
             _rnn rnn '' {word}; echo \"${{COMPREPLY[@]}}\"",
            count + 1
        )
    };
    for (line, word, expected) in [
        ("rnn run --nonlinearity", "--nonlinearity", "tanh relu\n"),
        ("rnn convert --dtype", "--dtype", "f32 f64 f16 bf16 i8 i16 i32 i64 u8 u16 u32 u64 bool\n"),
        (
            "rnn man",
            "man",
            "-h --max-bytes --help run stream generate score init convert info explain plot diff randn pack unpack bench completions man\n",
        ),
    ] {
        assert_eq!(sandbox.shell(&script(line, word)).stdout_text(), expected, "{line}");
    }
    let kernels = sandbox.shell(&script("rnn run --kernel", "--kernel")).stdout_text();
    assert!(kernels.split_whitespace().any(|kernel| kernel == "portable"), "{kernels}");
    // The help and the messages stay as they are.
    let help = sandbox.rnn("run --help").succeeds().stdout_text();
    assert!(!help.contains("[possible values: tanh"), "{help}");
}
