//! Progress bars: on a terminal, for work of more than a second; and the watch of a forward pass.

use std::sync::atomic::{AtomicUsize, Ordering};

use elman::{Batch, Config, Generator, Keep, Options, Rnn, Watch};
use ndarray::ArrayD;

use crate::support::Sandbox;

/// A pass is told of every step of every sequence, once for each layer and direction, however threads share the work.
#[test]
fn a_pass_says_how_far_it_has_come() {
    let mut generator = Generator::new(1);
    for (steps, batch, hidden, layers, bidirectional) in [
        (1, 1, 1, 1, false),
        (40, 1, 256, 1, false),
        (300, 1, 64, 3, false),
        (60, 3, 128, 2, true),
        (20, 70, 32, 2, false),
    ] {
        let config = Config { num_layers: layers, bidirectional, ..Config::new(3, hidden) };
        let cells = layers * config.num_directions();
        let rnn = Rnn::<f32>::new(config, &mut generator).unwrap();
        let x = ArrayD::ones(vec![steps, batch, 3]);
        let lengths: Vec<_> = (0..batch).map(|row| steps - row % steps.min(2)).collect();
        for threads in [1, 2, 4] {
            for keep in [Keep::Last, Keep::All] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let passed = AtomicUsize::new(0);
                let count = |rows| _ = passed.fetch_add(rows, Ordering::Relaxed);
                let options = Options { keep, watch: Some(Watch(&count)), ..Options::default() };
                let batch = Batch::with_lengths(x.view(), &lengths, false).unwrap();
                pool.install(|| rnn.forward(batch, options)).unwrap();
                let expected = cells * lengths.iter().sum::<usize>();
                assert_eq!(passed.into_inner(), expected, "{steps} {hidden} {threads} {keep:?}");
            }
        }
    }
}

/// A pipe that pauses for two seconds in the middle of a tensor.
#[cfg(target_os = "linux")]
#[test]
fn slow_files_show_a_bar_on_a_terminal_alone() {
    let sandbox = Sandbox::new();
    if sandbox.shell("script --version").code != Some(0) {
        return;
    }
    sandbox.rnn("randn --shape 20,1000,2 -o x.npy -q").succeeds();
    let lines = [
        "info PIPE",
        "diff PIPE x.npy",
        "convert PIPE c.npy",
        "pack -i PIPE --lengths x.txt -o p.npz",
        "run -i PIPE --hidden-size 3 -o o.npy --hn h.npy",
    ];
    sandbox.write("x.txt", "20 ".repeat(1000).trim_end().replace(' ', "\n").as_bytes());
    let mut scripts = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        for (form, [before, after]) in
            [("t", ["script -qec '", "' /dev/null"]), ("f", ["", " 2>&1"])]
        {
            let (pipe, out) = (format!("{form}{i}.pipe"), format!("{form}{i}.out"));
            let line = line.replace("PIPE", &pipe).replace(".np", &format!("{form}{i}.np"));
            let line = line.replace(&format!("x{form}{i}.npy"), "x.npy");
            scripts.push(format!(
                "mkfifo {pipe}; (head -c 70000 x.npy; sleep 2; tail -c +70001 x.npy) > {pipe} & \
                 {before}rnn {line}{after} > {out} < /dev/null & "
            ));
        }
    }
    sandbox.shell(&(scripts.concat() + "wait")).succeeds();
    for (i, line) in lines.iter().enumerate() {
        let text = |form| String::from_utf8(sandbox.bytes(&format!("{form}{i}.out"))).unwrap();
        assert!(text("t").contains(" left"), "{line}: {}", text("t"));
        assert!(!text("f").contains(" left"), "{line}: {}", text("f"));
        assert!(!text("f").contains("rnn:"), "{line}: {}", text("f"));
    }
}
