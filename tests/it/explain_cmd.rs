//! `rnn explain`: the numbers of a step are those of the layer.

use elman::{Config, Generator, Nonlinearity, Params, Rnn};
use ndarray::{ArrayD, Axis};
use serde_json::Value;

use crate::support::{Sandbox, integers};

fn json(sandbox: &Sandbox, line: &str) -> Value {
    let found = sandbox.rnn(&format!("explain {line} --report json"));
    assert_eq!((found.code, found.stderr.as_str()), (Some(0), ""), "{line}");
    serde_json::from_slice(&found.stdout).unwrap()
}

/// A field of every unit.
#[allow(clippy::cast_possible_truncation, reason = "the shortest text of an f32 reads back to it")]
fn field(report: &Value, name: &str) -> Vec<f32> {
    let units = report["units"].as_array().unwrap();
    units.iter().map(|unit| unit[name].as_f64().unwrap() as f32).collect()
}

/// The flags of one of 100 different layers.
fn flags(i: usize) -> (Config, String) {
    let config = Config {
        num_layers: 1 + i % 3,
        bidirectional: i % 2 == 1,
        bias: !i.is_multiple_of(5),
        batch_first: i.is_multiple_of(7),
        nonlinearity: if i.is_multiple_of(4) { Nonlinearity::Relu } else { Nonlinearity::Tanh },
        ..Config::new(1 + i * 13 % 71, 1 + i * 29 % 90)
    };
    let mut flags = format!(
        "--input-size {} --hidden-size {} --num-layers {} --nonlinearity {}",
        config.input_size, config.hidden_size, config.num_layers, config.nonlinearity
    );
    for (set, flag) in [
        (config.bidirectional, " --bidirectional"),
        (!config.bias, " --no-bias"),
        (config.batch_first, " --batch-first"),
    ] {
        flags.push_str(if set { flag } else { "" });
    }
    (config, flags)
}

/// The hidden states are those that `run --all-hidden` writes for the whole batch.
#[test]
fn the_numbers_are_the_bits_of_100_layers() {
    let sandbox = Sandbox::new();
    for i in 0..100 {
        let (config, flags) = flags(i);
        let (steps, batch) = (1 + i % 6, 1 + i % 4);
        sandbox.rnn(&format!("init {flags} --seed {i} -o w.npz -q")).succeeds();
        let shape = if config.batch_first { [batch, steps] } else { [steps, batch] };
        let [a, b] = shape;
        let size = config.input_size;
        sandbox.rnn(&format!("randn --shape {a},{b},{size} --seed {i} -o x.npy -q")).succeeds();
        sandbox.rnn("run -w w.npz -i x.npy --all-hidden all.npz -q").succeeds();
        let (step, row, layer) = (i % steps, i % batch, i % config.num_layers);
        let reverse = i % 4 == 3;
        let (suffix, direction) =
            if reverse { ("_reverse", " --direction reverse") } else { ("", "") };
        let line =
            format!("-w w.npz -i x.npy --step {step} --row {row} --layer {layer}{direction}");
        let report = json(&sandbox, &line);
        let states = sandbox.load::<f32>(&format!("all.npz:h_l{layer}{suffix}"));
        let states = states.index_axis(Axis(usize::from(!config.batch_first)), row);
        let expected: Vec<f32> = states.index_axis(Axis(0), step).iter().copied().collect();
        let h = field(&report, "h");
        assert_eq!(bits(&h), bits(&expected), "{i}");
        check_sums(&report, config.nonlinearity, &h);
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// `h` is the nonlinearity of the sum, and the sum is that of the summands, with the roundings of f32.
fn check_sums(report: &Value, nonlinearity: Nonlinearity, h: &[f32]) {
    let sums = field(report, "pre_activation");
    let (input, hidden) = (field(report, "input_sum"), field(report, "hidden_sum"));
    for (((&sum, &h), &input), &hidden) in sums.iter().zip(h).zip(&input).zip(&hidden) {
        let exact = f64::from(input) + f64::from(hidden);
        assert!((f64::from(sum) - exact).abs() <= 2e-6 * exact.abs().max(1.0), "{sum} {exact}");
        match nonlinearity {
            Nonlinearity::Relu => assert_eq!(h.to_bits(), sum.max(0.0).to_bits()),
            Nonlinearity::Tanh => {
                let exact = f64::from(sum).tanh();
                assert!((f64::from(h) - exact).abs() <= 1.2e-7 * exact.abs(), "{h} {exact}");
            }
        }
    }
}

/// The sum before tanh is that of a ReLU layer with the same parameters, if it is positive.
#[test]
fn the_sum_is_that_of_the_layer() {
    for i in 0..100 {
        let (config, _) = flags(i);
        let config = Config { num_layers: 1, bidirectional: false, batch_first: false, ..config };
        let layer = |nonlinearity| {
            let config = Config { nonlinearity, ..config.clone() };
            let params = Params::<f32>::init(config, &mut Generator::new(i as u64)).unwrap();
            Rnn::from_params(params).unwrap()
        };
        let mut generator = Generator::new(7);
        let (mut x, mut h) = (vec![0.0; config.input_size], vec![0.0; config.hidden_size]);
        generator.normal(&mut x);
        generator.normal(&mut h);
        let step = layer(Nonlinearity::Tanh).step(0, false, &x, &h).unwrap();
        let x = ArrayD::from_shape_vec(vec![1, x.len()], x).unwrap();
        let h = ArrayD::from_shape_vec(vec![1, h.len()], h).unwrap();
        for nonlinearity in [Nonlinearity::Relu, Nonlinearity::Tanh] {
            let output = layer(nonlinearity).call(x.view(), Some(h.view())).unwrap().output;
            for ((&sum, &h), &found) in step.pre_activation.iter().zip(&step.h).zip(&output) {
                let expected = if nonlinearity == Nonlinearity::Relu { sum.max(0.0) } else { h };
                assert_eq!(found.to_bits(), expected.to_bits(), "{i}");
            }
        }
    }
}

/// The example of PyTorch's documentation: its second step of layer 0, as text.
#[test]
fn the_example_of_the_documentation() {
    let sandbox = Sandbox::new();
    let text = sandbox.rnn("--max-bytes 1M explain --step 1 --units 0").succeeds().stdout_text();
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    let expected = "\
RNN(10, 20, num_layers=2), tanh, f32, 1480 parameters
weights fresh, input torch.randn(5, 3, 10), h_0 torch.randn(2, 3, 20)
step 1 of 5, row 0 of 3, layer 0 of 2, forward (all from 0)

output (20)        [0]       [1]       [2]       [3]       [4]
                    ^         ^         ^         ^         ^
h_0[1] (20)   --> [ l1 ] -> [ l1 ] -> [ l1 ] -> [ l1 ] -> [ l1 ] --> h_n[1]
                    ^         ^         ^         ^         ^
h_0[0] (20)   --> [ l0 ] -> * l0 * -> [ l0 ] -> [ l0 ] -> [ l0 ] --> h_n[0]
                    ^         ^         ^         ^         ^
x (10)             x[0]      x[1]      x[2]      x[3]      x[4]

h[1] = tanh(W_ih x[1] + b_ih + W_hh h[0] + b_hh)
";
    assert!(text.starts_with(expected), "{text}");
    // A longer name of a first state moves all columns.
    sandbox.rnn("init --input-size 1 --hidden-size 100 --num-layers 101 -o deep.npz -q").succeeds();
    sandbox.rnn("randn --shape 2,1 -o x.npy -q").succeeds();
    let deep = sandbox.rnn("explain -w deep.npz -i x.npy --layer 100").succeeds().stdout_text();
    let place = |start: &str, mark| {
        deep.lines().find(|line| line.starts_with(start)).and_then(|line| line.find(mark)).unwrap()
    };
    assert_eq!(place("h_0[100] (100) -->", '*') + 2, place("     ", '^'), "{deep}");
    for line in ["torch.manual_seed(0)", "x_t = x[1]", "h = states(1)[0, 0:20]"] {
        assert!(text.contains(line), "{line}");
    }
}

/// The reverse direction takes the state after the next step, and begins with `h_0` at the last one.
#[test]
fn a_reverse_direction_comes_from_the_next_step() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 2 --hidden-size 3 --bidirectional -o w.npz -q").succeeds();
    sandbox.rnn("randn --shape 4,2 -o x.npy -q").succeeds();
    for (step, before) in [(3, None), (2, Some(3)), (0, Some(1))] {
        let report =
            json(&sandbox, &format!("-w w.npz -i x.npy --step {step} --direction reverse"));
        assert_eq!(report["step_before"].as_u64(), before);
        let name = before.map_or("h_0".to_owned(), |before| format!("h[{before}]"));
        let formula = format!("h[{step}] = tanh(W_ih x[{step}] + b_ih + W_hh {name} + b_hh)");
        assert_eq!(report["formula"], formula);
    }
    let text =
        sandbox.rnn("explain -w w.npz -i x.npy --direction reverse").succeeds().stdout_text();
    assert!(text.contains("h_n[1] (3)    <-- *l0r * <- [l0r ]"), "{text}");
}

/// The lines of Python read the files of the command, or files that `rnn convert` makes of them.
#[test]
fn python_reads_the_files() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 2 --hidden-size 3 -o w.npz -q").succeeds();
    sandbox.rnn("init --input-size 2 --hidden-size 3 -o w -q").succeeds();
    std::fs::create_dir(sandbox.path("p")).unwrap();
    let tensors = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
    for name in tensors {
        let (from, to) = (format!("w/{name}.npy"), format!("p/rnn.{name}.npy"));
        std::fs::copy(sandbox.path(&from), sandbox.path(&to)).unwrap();
    }
    for (i, prefix) in ["a", "b"].iter().enumerate() {
        let own = tensors.map(|name| {
            (format!("{prefix}.{name}"), sandbox.load::<f32>(&format!("w.npz:{name}")) * i as f32)
        });
        let own: Vec<(&str, &dyn elman::files::AnyArray)> =
            own.iter().map(|(name, array)| (name.as_str(), array as _)).collect();
        sandbox.save_npz(&format!("{prefix}.npz"), &own);
    }
    sandbox.write("x.csv", b"1,2,3\n4,5,6\n");
    sandbox.write("h0.csv", b"1,2,3\n");
    sandbox.rnn("randn --shape 4,2,2 -o x.npy -q").succeeds();
    sandbox.rnn("randn --shape 1,2,3 -o h0.npy -q").succeeds();
    let (a, b): (ArrayD<f32>, ArrayD<f32>) = (ArrayD::ones(vec![4, 2]), ArrayD::ones(vec![3, 2]));
    sandbox.save_npz("ragged.npz", &[("a", &a), ("b", &b)]);
    sandbox.rnn("convert ragged.npz ragged.safetensors").succeeds();
    let w = "w = {n: torch.from_numpy(a).to(torch.float32) for n, a in np.load(\"w.explain.npz\").items()}";
    for (line, expected) in [
        ("-w w -i x.npy", &["     for p in Path(\"w\").glob(\"*.npy\")}"][..]),
        ("-w p -i x.npy", &["# first: rnn convert p w.explain.npz", w]),
        ("-w a.npz -i x.npy", &["# first: rnn convert a.npz w.explain.npz", w]),
        ("-w b.npz --prefix b -i x.npy", &["# first: rnn convert b.npz --prefix=b w.explain.npz"]),
        (
            "-w w.npz -i x.csv --columns 3,1 --h0 h0.csv",
            &[
                "# first: rnn convert x.csv --columns=3,1 x.explain.npy",
                "x = torch.from_numpy(np.load(\"x.explain.npy\")).to(torch.float32)[:2]",
                "# first: rnn convert h0.csv h_0.explain.npy",
                "h_0 = torch.from_numpy(np.load(\"h_0.explain.npy\")).to(torch.float32)",
            ],
        ),
        (
            "-w w.npz -i ragged.npz --row 1 --h0 h0.npy",
            &[
                "x = torch.from_numpy(np.load(\"ragged.npz\")[\"b\"]).to(torch.float32)",
                "h_0 = torch.from_numpy(np.load(\"h0.npy\")).to(torch.float32)[:, 1]",
            ],
        ),
        (
            "-w w.npz -i ragged.safetensors --row 1",
            &[
                "# first: rnn convert ragged.safetensors x.explain.npz",
                "x = torch.from_numpy(np.load(\"x.explain.npz\")[\"b\"]).to(torch.float32)",
                "h_0 = torch.zeros(1, 3)",
            ],
        ),
    ] {
        let report = json(&sandbox, line);
        let python: Vec<_> = report["python"].as_str().unwrap().lines().collect();
        for own in expected {
            assert!(python.contains(own), "{line}: {own}\n{python:#?}");
        }
        let assumed = if line.starts_with("-w w") { Value::Null } else { "tanh".into() };
        assert_eq!(report["assumptions"]["nonlinearity"], assumed, "{line}");
    }
}

#[test]
fn places_that_do_not_exist() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 2 --hidden-size 3 -o w.npz -q").succeeds();
    sandbox.rnn("randn --shape 4,2,2 -o x.npy -q").succeeds();
    let line = "explain -w w.npz -i x.npy";
    for (flag, code, message, hint) in [
        (
            "--step 4",
            2,
            "--step: expected a number from 0 to 3, the steps of the sequence, got 4",
            "--step 3",
        ),
        (
            "--layer 1",
            2,
            "--layer: expected a number from 0 to 0, the layers of the RNN, got 1",
            "--layer 0",
        ),
        (
            "--units 3",
            2,
            "--units: expected a number from 0 to 2, the units of the hidden state, got 3",
            "--units 2",
        ),
        (
            "--row 2",
            2,
            "--row: expected a number from 0 to 1, the sequences of the input, got 2",
            "--row 1",
        ),
        (
            "--direction reverse",
            2,
            "expected a direction of the layer with --direction, got reverse",
            "",
        ),
    ] {
        let stderr =
            format!("rnn: {message}\nhint: rnn {line} {hint}").trim_end().to_owned() + "\n";
        sandbox.rnn(&format!("{line} {flag}")).fails(code, &stderr);
    }
    let stderr = "rnn: expected --input, the sequences that the layer is shown on, got none\n\
                  hint: rnn explain -w w.npz --input x.npy\n";
    sandbox.rnn("explain -w w.npz").fails(2, stderr);
    // The example of the documentation takes no flag of files or of a layer.
    let stderr = stderr.replace("-w w.npz", "--nonlinearity relu");
    sandbox.rnn("explain --nonlinearity relu").fails(2, &stderr);
    let stderr = "rnn: expected one input from stdin, got - for more than one\n";
    sandbox.rnn("explain -w - -i -").fails(2, stderr);
    sandbox.rnn("info w.npz --dynamics -i - --h0 -").fails(2, stderr);
}

/// Sequences of different lengths, ids of a model with an embedding, and numbers that are not finite.
#[test]
fn every_form_of_input() {
    let sandbox = Sandbox::new();
    sandbox.rnn("init --input-size 2 --hidden-size 3 -o w.npz -q").succeeds();
    sandbox.rnn("randn --shape 4,2,2 -o x.npy -q").succeeds();
    let report = json(&sandbox, "-w w.npz -i x.npy --lengths 4,2 --row 1 --step 1");
    assert_eq!(report["seq_len"], 2);
    sandbox.rnn("pack -i x.npy --lengths 4,2 -o packed.npz -q").succeeds();
    let packed = json(&sandbox, "-w w.npz -i packed.npz --row 1 --step 1");
    assert_eq!(packed["units"], report["units"]);

    let embedding = ArrayD::from_shape_fn(vec![5, 2], |at| at[0] as f32 - at[1] as f32);
    let mut members: Vec<(String, ArrayD<f32>)> = vec![("emb.weight".to_owned(), embedding)];
    for name in ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"] {
        members.push((format!("rnn.{name}"), sandbox.load(&format!("w.npz:{name}"))));
    }
    let members: Vec<(&str, &dyn elman::files::AnyArray)> =
        members.iter().map(|(name, array)| (name.as_str(), array as _)).collect();
    sandbox.save_npz("model.npz", &members);
    let convert =
        "convert model.npz m.npz --embedding emb --nonlinearity tanh --batch-first=false -q";
    sandbox.rnn(convert).succeeds();
    let mut file = std::fs::File::create(sandbox.path("ids.npy")).unwrap();
    elman::files::write_npy(&mut file, &integers(&[4, 0, 3]).view()).unwrap();
    let report = json(&sandbox, "-w m.npz -i ids.npy --step 2");
    assert_eq!(report["x"], serde_json::json!([3, 2]));

    let x = ArrayD::from_shape_vec(vec![2, 2], vec![1.0, f32::NAN, 1.0, 1.0]).unwrap();
    sandbox.save("nan.npy", &x.view());
    let report = json(&sandbox, "-w w.npz -i nan.npy --step 1");
    assert_eq!(report["h_before"][0], "nan");
    assert_eq!(report["units"][0]["h"], "nan");
}
