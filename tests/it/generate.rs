//! `rnn generate`: text from a language model, and the models that `rnn score` takes too.

use elman::{Config, Generator, Tokens, Vocabulary};
use ndarray::{Array3, ArrayD, Axis, IxDyn};

use crate::naive::{self, Tensors};
use crate::support::Sandbox;

/// The tokens of the character model; one is not a character.
const LETTERS: &str = "a\nb\nc\nd\n \né\n\\n\n<e>\n";
const COUNT: usize = 8;

/// A language model of [`LETTERS`], and what it is made of.
pub(crate) struct Characters {
    config: Config,
    tensors: Tensors,
    weight: ArrayD<f64>,
    bias: ArrayD<f64>,
    pub(crate) vocabulary: Vocabulary,
}

impl Characters {
    /// A model of one-hot characters and two layers, saved as `lm.safetensors`, which runs without flags, with `flags`.
    pub(crate) fn save(sandbox: &Sandbox, flags: &str) -> Self {
        let config = Config { num_layers: 2, ..Config::new(COUNT, 20) };
        let mut generator = Generator::new(17);
        let mut normal = |shape: &[usize], scale: f32| {
            let mut values = vec![0.0_f32; shape.iter().product()];
            generator.normal(&mut values);
            ArrayD::from_shape_vec(IxDyn(shape), values).unwrap() * scale
        };
        let mut tensors: Vec<(String, ArrayD<f32>)> = Vec::new();
        for layer in 0..2 {
            let input_size = if layer == 0 { COUNT } else { 20 };
            tensors.push((format!("weight_ih_l{layer}"), normal(&[20, input_size], 0.7)));
            tensors.push((format!("weight_hh_l{layer}"), normal(&[20, 20], 0.3)));
            tensors.push((format!("bias_ih_l{layer}"), normal(&[20], 0.2)));
            tensors.push((format!("bias_hh_l{layer}"), normal(&[20], 0.2)));
        }
        let (weight, bias) = (normal(&[COUNT, 20], 0.6), normal(&[COUNT], 0.3));
        let named: Vec<_> =
            tensors.iter().map(|(name, tensor)| (format!("rnn.{name}"), tensor)).collect();
        let mut members: Vec<(&str, &dyn elman::files::AnyArray)> =
            named.iter().map(|(name, tensor)| (name.as_str(), *tensor as _)).collect();
        members.extend([("out.weight", &weight as _), ("out.bias", &bias as _)]);
        sandbox.save_npz("w.npz", &members);
        sandbox.write("letters.txt", LETTERS.as_bytes());
        let line = format!(
            "convert w.npz lm.safetensors -q --nonlinearity tanh --batch-first=false --dropout 0 --one-hot --vocab letters.txt \
             --head out {flags}"
        );
        sandbox.rnn(&line).succeeds();
        let wide = |tensor: &ArrayD<f32>| tensor.mapv(f64::from);
        Characters {
            config,
            tensors: tensors.iter().map(|(name, tensor)| (name.clone(), wide(tensor))).collect(),
            weight: wide(&weight),
            bias: wide(&bias),
            vocabulary: Vocabulary::parse(LETTERS, Tokens::Char).unwrap(),
        }
    }

    /// The values of the token behind these ids, in float64.
    pub(crate) fn values(&self, ids: &[usize]) -> Vec<f64> {
        let mut x = Array3::zeros((ids.len(), 1, COUNT));
        ids.iter().enumerate().for_each(|(t, &id)| x[[t, 0, id]] = 1.0);
        let h_0 = Array3::zeros((2, 1, 20));
        let (output, _) = naive::forward(&self.config, &self.tensors, &x, &h_0);
        let h = output.index_axis(Axis(0), ids.len() - 1);
        let value = |class: usize| {
            let terms = (0..20).map(|k| self.weight[[class, k]] * h[[0, k]]);
            self.bias[[class]] + terms.sum::<f64>()
        };
        (0..COUNT).map(value).collect()
    }

    /// The text that follows from the definition.
    fn text(&self, prompt: &str, steps: usize, temperature: f64, top: usize, seed: u64) -> String {
        let mut ids: Vec<usize> = self.ids(prompt);
        let mut generator = Generator::new(seed);
        let mut text = String::new();
        for _ in 0..steps {
            let values = self.values(&ids);
            let mut kept: Vec<_> = (0..COUNT).collect();
            kept.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
            kept.truncate(top);
            kept.sort_unstable();
            let weight = |id: usize| (values[id] / temperature).exp();
            let all: f64 = kept.iter().map(|&id| weight(id)).sum();
            let mut u = [0.0_f64];
            generator.uniform(0.0, 1.0, &mut u);
            let mut sum = 0.0;
            let id = kept.iter().find(|id| {
                sum += weight(**id) / all;
                sum > u[0]
            });
            ids.push(*id.unwrap());
            text.push_str(self.vocabulary.names().nth(*id.unwrap()).unwrap());
        }
        text
    }

    /// The ids of a text, in which the token of several characters is one.
    pub(crate) fn ids(&self, mut text: &str) -> Vec<usize> {
        let mut ids = Vec::new();
        while !text.is_empty() {
            let names = self.vocabulary.names();
            let found =
                names.enumerate().find_map(|(id, name)| Some((id, text.strip_prefix(name)?)));
            let (id, rest) = found.unwrap();
            ids.push(id);
            text = rest;
        }
        ids
    }
}

/// The text that a command line writes, without the line end.
fn text(sandbox: &Sandbox, line: &str) -> String {
    let text = sandbox.rnn(line).succeeds().stdout_text();
    text.strip_suffix('\n').unwrap_or_else(|| panic!("{text:?}")).to_owned()
}

#[test]
fn tokens_are_drawn_by_the_definition() {
    let sandbox = Sandbox::new();
    let model = Characters::save(&sandbox, "");
    for (flags, temperature, top, seed) in [
        ("--seed 1", 1.0, COUNT, 1),
        ("--seed 2 --temperature 0.4", 0.4, COUNT, 2),
        ("--seed 3 --temperature 2.5 --top 3", 2.5, 3, 3),
        ("--seed 4 --top 8", 1.0, 8, 4),
        ("", 1.0, COUNT, Generator::DEFAULT_SEED),
    ] {
        let line = format!("generate -w lm.safetensors --prompt abé --steps 60 {flags}");
        let expected = model.text("abé", 60, temperature, top, seed);
        assert_eq!(text(&sandbox, &line), expected, "{flags}");
    }
}

#[test]
fn temperature_zero_is_the_argmax_of_run() {
    let sandbox = Sandbox::new();
    let model = Characters::save(&sandbox, "");
    let line = "generate -w lm.safetensors --temperature 0 --steps 40 --prompt ab";
    let found = model.ids(&text(&sandbox, line));
    assert_eq!(found.len(), 40);
    let all: Vec<_> = model.ids("ab").into_iter().chain(found).collect();
    let ids = ndarray::Array1::from_iter(all.iter().map(|&id| id as f32)).into_dyn();
    sandbox.save("ids.npy", &ids.view());
    let run = "run -q -w w.npz --nonlinearity tanh --one-hot --head out --argmax -i ids.npy -o classes.csv";
    sandbox.rnn(run).succeeds();
    let classes = String::from_utf8(sandbox.bytes("classes.csv")).unwrap();
    let classes: Vec<usize> = classes.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(classes[1..classes.len() - 1], all[2..]);
}

#[test]
fn two_halves_are_the_whole() {
    let sandbox = Sandbox::new();
    Characters::save(&sandbox, "");
    let line = "generate -w lm.safetensors --temperature 0.7";
    let whole = text(
        &sandbox,
        &format!("{line} --prompt ca --steps 50 --rng a.npy --seed 5 --hn whole.npy"),
    );
    let first =
        text(&sandbox, &format!("{line} --prompt ca --steps 20 --rng b.npy --seed 5 --hn h.npy"));
    let rest = text(&sandbox, &format!("{line} --steps 30 --rng b.npy --h0 h.npy --hn h.npy"));
    assert_eq!(first + &rest, whole);
    assert_eq!(sandbox.bytes("h.npy"), sandbox.bytes("whole.npy"));
    assert_eq!(sandbox.bytes("a.npy"), sandbox.bytes("b.npy"));
    // A state may have an axis for a batch of one.
    sandbox.save("batch.npy", &sandbox.load::<f32>("h.npy").insert_axis(Axis(1)).view());
    let on = |h_0: &str| text(&sandbox, &format!("{line} --steps 30 --seed 1 --h0 {h_0}"));
    assert_eq!(on("batch.npy"), on("h.npy"));
    // Without new tokens it is the state after the prompt.
    sandbox.write("line.txt", "caaé\n".as_bytes());
    assert_eq!(text(&sandbox, &format!("{line} --prompt caaé --steps 0 --hn h.npy")), "");
    sandbox.rnn("run -q -w lm.safetensors -i line.txt --hn run.npy").succeeds();
    let run = sandbox.load::<f32>("run.npy").index_axis_move(Axis(1), 0);
    assert_eq!(sandbox.load::<f32>("h.npy"), run);
}

#[test]
fn a_saved_function_and_the_last_output_are_left_out() {
    let sandbox = Sandbox::new();
    let line = "generate -w lm.safetensors --prompt a --steps 30 --seed 8";
    Characters::save(&sandbox, "");
    let expected = text(&sandbox, line);
    for flags in ["--argmax", "--softmax --pool last", "--top 2 --labels letters.txt --pool state"]
    {
        Characters::save(&sandbox, flags);
        assert_eq!(text(&sandbox, line), expected, "{flags}");
    }
    Characters::save(&sandbox, "--pool mean");
    let expected = "rnn: lm.safetensors: pool: expected the output of each step or the last one, got one of all \
                    steps\n";
    sandbox.rnn(line).fails(65, expected);
}

#[test]
fn a_closed_pipe_ends_it_at_once() {
    let sandbox = Sandbox::new();
    Characters::save(&sandbox, "");
    let script = "rnn generate -w lm.safetensors --prompt a --steps 100000000000 | head -c 30 | wc -c; \
                  echo ${PIPESTATUS[0]}";
    assert_eq!(sandbox.shell(script).succeeds().stdout_text(), "30\n141\n");
}

/// Flags of a model of words whose most likely continuation is known.
const WORDS: &str = "generate -w word_lm_state_dict.pt --nonlinearity tanh --embedding encoder --head decoder \
                     --temperature 0";

/// A folder with the model of words.
fn words() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.take("cases/word_lm_state_dict.pt");
    sandbox.take("cases/word_vocab.txt");
    sandbox
}

/// The words that follow `the cat sat on` with these flags.
fn after_cat(sandbox: &Sandbox, flags: &[&str]) -> String {
    let own = ["--tokens", "word", "--vocab", "word_vocab.txt", "--prompt", "the  cat\nsat on"];
    let line: Vec<_> = WORDS.split_whitespace().chain(own).chain(flags.iter().copied()).collect();
    sandbox.rnn_with(&line, &[]).succeeds().stdout_text()
}

#[test]
fn words_stand_with_a_space_between_them() {
    let sandbox = words();
    assert_eq!(after_cat(&sandbox, &["--steps", "10"]), "the mat . the dog sat on the log .\n");
    assert_eq!(after_cat(&sandbox, &["--steps", "1"]), "the\n");
    assert_eq!(after_cat(&sandbox, &["--steps", "0"]), "\n");
}

#[test]
fn ids_stand_on_lines_of_their_own() {
    let sandbox = words();
    let line = |prompt: &str| {
        let words: Vec<_> =
            WORDS.split_whitespace().chain(["--steps", "3", "--prompt", prompt]).collect();
        sandbox.rnn_with(&words, &[])
    };
    let names = String::from_utf8(sandbox.bytes("word_vocab.txt")).unwrap();
    let names: Vec<_> = names.lines().collect();
    let id = |name: &str| names.iter().position(|own| *own == name).unwrap();
    let prompt = ["the", "cat", "sat", "on"].map(|name| id(name).to_string()).join(" ");
    let expected = ["the", "mat", "."].map(|name| format!("{}\n", id(name))).concat();
    assert_eq!(line(&prompt).succeeds().stdout_text(), expected);
    for wrong in ["14", "-1", "1.5", "cat"] {
        let message =
            format!("rnn: --prompt: expected ids, whole numbers from 0 to 13, got '{wrong}'\n");
        line(&format!("1 {wrong}")).fails(65, &message);
    }
}

#[test]
fn the_output_ends_before_a_stop_text() {
    let sandbox = words();
    for (flags, expected) in [
        (&["--stop", "."][..], "the mat\n"),
        (&["--stop", "the"], "\n"),
        (&["--stop", "sat on"], "the mat . the dog\n"),
        // Of several, the first one that is complete.
        (&["--stop", "log", "--stop", "dog"], "the mat . the\n"),
        (&["--stop", "dog", "--stop", "the dog"], "the mat .\n"),
        // Words that begin a stop text are written once it cannot follow, and at the end.
        (&["--stop", "the cat", "--stop", "on the mat"], "the mat . the dog sat on the log .\n"),
        (&["--stop", ". the cat", "--steps", "4"], "the mat . the\n"),
        (&["--stop", "sat the", "--steps", "6"], "the mat . the dog sat\n"),
    ] {
        let steps = if flags.contains(&"--steps") { &[][..] } else { &["--steps", "10"] };
        assert_eq!(after_cat(&sandbox, &[flags, steps].concat()), expected, "{flags:?}");
    }
    // The state has taken in the stop text: the next command begins behind it.
    after_cat(&sandbox, &["--stop", ".", "--hn", "h.npy"]);
    let own = ["--tokens", "word", "--vocab", "word_vocab.txt", "--h0", "h.npy", "--steps", "3"];
    let line: Vec<_> = WORDS.split_whitespace().chain(own).collect();
    assert_eq!(sandbox.rnn_with(&line, &[]).succeeds().stdout_text(), "the dog sat\n");
}

#[test]
fn stop_texts_are_tokens_with_their_escapes() {
    let sandbox = Sandbox::new();
    Characters::save(&sandbox, "--unknown a");
    let line = |stop: &str| {
        let words = "generate -w lm.safetensors --prompt x --steps 200 --seed 3 --stop";
        let words: Vec<_> = words.split(' ').chain([stop]).collect();
        sandbox.rnn_with(&words, &[])
    };
    let whole = text(&sandbox, "generate -w lm.safetensors --prompt a --steps 200 --seed 3");
    for (stop, literal) in [("\\n", "\n"), ("<e>", "<e>"), ("é", "é"), ("b\\n", "b\n"), (" ", " ")]
    {
        let (before, _) = whole.split_once(literal).unwrap();
        assert_eq!(line(stop).succeeds().stdout_text(), format!("{before}\n"), "{stop}");
    }
    // The unknown token stands for characters of a prompt, and would stop at any of them.
    line("x").fails(65, "rnn: --stop: line 1, column 1: 'x' is not in the vocabulary\n");
    line("").fails(2, "rnn: --stop: expected at least one token, got none\n");
}

#[test]
fn unknown_characters_are_named_by_place() {
    let sandbox = Sandbox::new();
    Characters::save(&sandbox, "");
    let line = |prompt: &str, flags: &[&str]| {
        let words = ["generate", "-w", "lm.safetensors", "--steps", "5", "--prompt", prompt];
        sandbox.rnn_with(&[&words[..], flags].concat(), &[])
    };
    for (prompt, place, token) in [
        ("x", "line 1, column 1", "x"),
        ("éaZ", "line 1, column 3", "Z"),
        ("a\né\ta", "line 2, column 2", "\\t"),
    ] {
        let message = format!("rnn: --prompt: {place}: '{token}' is not in the vocabulary\n");
        let outcome = line(prompt, &[]);
        assert_eq!(outcome.code, Some(65));
        assert!(outcome.stderr.starts_with(&message), "{}", outcome.stderr);
        // A hint repeats the command line, unless it would take several lines.
        let hinted = outcome.stderr.ends_with(" --unknown TOKEN\n");
        assert_eq!(hinted, !prompt.contains('\n'), "{}", outcome.stderr);
        let known: String =
            prompt.chars().map(|c| if "aé\n".contains(c) { c } else { 'd' }).collect();
        let expected = line(&known, &[]).succeeds().stdout;
        assert_eq!(line(prompt, &["--unknown", "d"]).succeeds().stdout, expected, "{prompt:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_output_is_an_error_of_stdout() {
    let sandbox = Sandbox::new();
    Characters::save(&sandbox, "");
    let line = "generate -w lm.safetensors --prompt a > /dev/full";
    let message = "rnn: stdout: No space left on device (os error 28)\n";
    sandbox.shell(&format!("rnn {line}")).fails(74, message);
}

#[test]
fn a_report_stands_on_standard_error() {
    let sandbox = Sandbox::new();
    Characters::save(&sandbox, "");
    let line = "generate -w lm.safetensors --prompt ab --steps 3 --seed 9 --hn h.csv --rng r.npy";
    let outcome = sandbox.rnn(&format!("{line} --report json"));
    let report: serde_json::Value = serde_json::from_str(&outcome.stderr).unwrap();
    assert_eq!(outcome.code, Some(0));
    assert_eq!((&report["command"], &report["seed"]), (&"generate".into(), &9.into()));
    assert_eq!(report["notes"], serde_json::json!(["tokens: 2 of the prompt, 3 new"]));
    assert_eq!(report["tensors"][1]["file"], "h.csv");
    assert_eq!(report["rng"], "r.npy");
    assert_eq!(String::from_utf8(sandbox.bytes("h.csv")).unwrap().lines().count(), 2);
    let outcome = sandbox.rnn(&format!("{line} -v"));
    assert!(outcome.stderr.contains("RNN(8, 20, num_layers=2), tanh, f32"), "{}", outcome.stderr);
}

#[test]
fn models_and_flags_that_do_not_fit_are_refused() {
    let sandbox = Sandbox::new();
    Characters::save(&sandbox, "");
    sandbox.take("cases/names_sd.pt");
    sandbox.rnn("init -q --input-size 4 --hidden 4 --bidirectional -o both.npz").succeeds();
    sandbox.rnn("init -q --input-size 4 --hidden 4 -o square.npz").succeeds();
    sandbox.write("two.txt", b"a\nb\n");
    let nan = ArrayD::from_elem(vec![2, 20], f32::NAN);
    sandbox.save("nan.npy", &nan.view());
    sandbox.save("wide.npy", &ArrayD::<f32>::zeros(vec![2, 2, 20]).view());
    for (line, code, expected) in [
        (
            "-w both.npz --one-hot --prompt 1",
            65,
            "both.npz: expected one direction, got a bidirectional layer, which sees a token before it predicts it",
        ),
        (
            "-w names_sd.pt --nonlinearity tanh --one-hot --head h2o --prompt 1",
            65,
            "names_sd.pt: head: expected 58 values, one for each token, got 4",
        ),
        (
            "-w w.npz --nonlinearity tanh --prompt 1",
            65,
            "hint: rnn generate -w w.npz --nonlinearity tanh --prompt 1 --one-hot --head out",
        ),
        (
            "-w w.npz --strict --one-hot --head out --prompt 1",
            65,
            "expected --nonlinearity with --strict",
        ),
        (
            "-w square.npz --one-hot",
            2,
            "expected a token in --prompt, or a state to go on from in --h0, got neither",
        ),
        (
            "-w square.npz --one-hot --prompt 4",
            65,
            "--prompt: expected ids, whole numbers from 0 to 3, got '4'",
        ),
        (
            "-w lm.safetensors --prompt a --hn -",
            2,
            "expected a file for h_n beside the text on stdout, got -",
        ),
        ("-w lm.safetensors --prompt a --hn h.pdf", 2, "h.pdf: expected .npy, .csv, .tsv, .txt"),
        ("-w lm.safetensors --prompt a --hn lm.safetensors", 2, "expected"),
        (
            "-w lm.safetensors --prompt a --top 9",
            65,
            "top: expected from 1 to 8, the number of tokens, got 9",
        ),
        (
            "-w lm.safetensors --prompt a --temperature -1",
            2,
            "--temperature: expected a finite number of at least 0",
        ),
        (
            "-w lm.safetensors --prompt a --temperature nan",
            2,
            "--temperature: expected a finite number of at least 0",
        ),
        (
            "-w lm.safetensors --h0 nan.npy",
            65,
            "new token 0: output: expected finite values of the next token, got NaN",
        ),
        (
            "-w lm.safetensors --h0 wide.npy",
            65,
            "wide.npy: h_0: expected shape [2, 20], got [2, 2, 20]",
        ),
        (
            "-w lm.safetensors --vocab two.txt --prompt a",
            65,
            "vocabulary: expected 8 tokens, one for each feature of the layer, got 2",
        ),
        ("-w w.npz --vocab - --h0 - --one-hot", 2, "expected one input from stdin, got -"),
        ("-w none.npz --prompt a", 66, "none.npz: "),
    ] {
        let outcome = sandbox.rnn(&format!("generate {line}"));
        assert_eq!(outcome.code, Some(code), "{line}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(expected), "{line}: {}", outcome.stderr);
        assert_eq!(outcome.stdout_text(), "", "{line}");
    }
    // A layer whose outputs are as many as its ids needs no head.
    let line = "generate -w square.npz --one-hot --prompt 3 --steps 4 --seed 1";
    assert_eq!(sandbox.rnn(line).succeeds().stdout_text().lines().count(), 4);
}
