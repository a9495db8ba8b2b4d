//! `rnn plot`: pictures of hidden states and weights. Golden pictures are compared byte for byte as SVG and pixel for
//! pixel as PNG; `GOLDEN=write` in the environment writes them anew.

use std::fs;

use ndarray::{Array3, ArrayD};

use crate::support::{Sandbox, fixture_path};

/// A bidirectional layer of two layers, and an input with a NaN at one step.
fn layer(sandbox: &Sandbox) {
    sandbox
        .rnn("init --input-size 3 --hidden-size 6 --num-layers 2 --bidirectional --seed 1 -o w.npz -q")
        .succeeds();
    sandbox.rnn("randn --shape 12,2,3 --seed 1 -o x.npy -q").succeeds();
    let mut x = sandbox.load::<f32>("x.npy");
    x[[5, 1, 0]] = f32::NAN;
    sandbox.save("nan.npy", &x.view());
}

const KINDS: [(&str, &str); 7] = [
    ("states", "-w w.npz -i x.npy"),
    ("nan", "-w w.npz -i nan.npy --row 1"),
    ("weights", "-w w.npz --kind weights --layer 0"),
    ("spectrum", "-w w.npz --kind spectrum --layer 0"),
    ("saturation", "-w w.npz -i x.npy --kind saturation"),
    ("norm", "-w w.npz -i nan.npy --row 1 --kind norm"),
    ("units", "-w w.npz -i x.npy --kind units --units 0,3 --layer 1"),
];

/// Width, height and pixels of a .png.
fn pixels(bytes: &[u8]) -> (u32, u32, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width, info.height, pixels)
}

#[test]
fn every_kind_is_the_golden_picture() {
    let sandbox = Sandbox::new();
    layer(&sandbox);
    for (name, line) in KINDS {
        for extension in ["svg", "png"] {
            let file = format!("{name}.{extension}");
            sandbox.rnn(&format!("plot {line} --size 480x360 -o {file}")).succeeds();
            let (found, golden) = (sandbox.bytes(&file), fixture_path(&format!("plots/{file}")));
            if std::env::var_os("GOLDEN").is_some() {
                fs::create_dir_all(golden.parent().unwrap()).unwrap();
                fs::write(&golden, &found).unwrap();
            }
            let expected = fs::read(&golden).unwrap();
            match extension {
                "png" => assert!(pixels(&found) == pixels(&expected), "{file}"),
                _ => assert!(found == expected, "{file}"),
            }
            let again = format!("plot {line} --size 480x360 -o again.{extension}");
            sandbox.rnn(&again).succeeds();
            assert!(sandbox.bytes(&format!("again.{extension}")) == found, "{file}");
        }
    }
}

/// The pictures of `docs/plots` are those that the program draws.
#[test]
fn the_pictures_of_the_documentation_are_current() {
    let sandbox = Sandbox::new();
    sandbox
        .rnn("init --input-size 3 --hidden-size 20 --num-layers 2 --bidirectional --seed 1 -o w.npz -q")
        .succeeds();
    sandbox.rnn("randn --shape 60,2,3 --seed 1 -o x.npy -q").succeeds();
    let mut x = sandbox.load::<f32>("x.npy");
    x[[30, 1, 0]] = f32::NAN;
    sandbox.save("nan.npy", &x.view());
    for (name, line) in [
        ("states", "-i x.npy"),
        ("nan", "-i nan.npy --row 1"),
        ("weights", "--kind weights"),
        ("spectrum", "--kind spectrum"),
        ("saturation", "-i x.npy --kind saturation"),
        ("norm", "-i nan.npy --row 1 --kind norm"),
        ("units", "-i x.npy --kind units --units 0,3 --layer 1"),
    ] {
        sandbox.rnn(&format!("plot -w w.npz {line} -o {name}.png")).succeeds();
        let found = sandbox.bytes(&format!("{name}.png"));
        let path = fixture_path(&format!("../docs/plots/{name}.png"));
        if std::env::var_os("GOLDEN").is_some() {
            fs::write(&path, &found).unwrap();
        }
        assert!(pixels(&found) == pixels(&fs::read(path).unwrap()), "{name}");
    }
}

/// A number of pixels of this colour.
fn count(bytes: &[u8], color: [u8; 3]) -> usize {
    pixels(bytes).2.chunks(3).filter(|pixel| **pixel == color).count()
}

/// NaN is black from its step on, forwards and backwards; infinity is magenta.
#[test]
fn a_nan_is_black_where_it_was_born() {
    let sandbox = Sandbox::new();
    layer(&sandbox);
    sandbox.rnn("plot -w w.npz -i x.npy --row 1 -o clean.png").succeeds();
    sandbox.rnn("plot -w w.npz -i nan.npy --row 1 --layer 0 -o nan.png").succeeds();
    assert!(count(&sandbox.bytes("clean.png"), [0; 3]) < 100);
    assert!(count(&sandbox.bytes("nan.png"), [0; 3]) > 50_000);
    let states = ArrayD::from_shape_vec(vec![2, 2], vec![0.5, f64::INFINITY, -0.5, 0.0]).unwrap();
    sandbox.save("h.npy", &states.view());
    sandbox.rnn("plot -i h.npy -o h.png").succeeds();
    assert!(count(&sandbox.bytes("h.png"), [255, 0, 255]) > 10_000);
}

/// An output in a file, and all hidden states, are the states that are drawn from weights and input.
#[test]
fn saved_states_are_drawn_too() {
    let sandbox = Sandbox::new();
    layer(&sandbox);
    sandbox.rnn("run -w w.npz -i x.npy --all-hidden all.npz -o output.npy -q").succeeds();
    sandbox.rnn("plot -i all.npz --row 1 -o all.svg").succeeds();
    sandbox.rnn("plot -w w.npz -i x.npy --row 1 -o h.svg").succeeds();
    let shapes = |name: &str| {
        let text = String::from_utf8(sandbox.bytes(name)).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("<path"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shapes("all.svg"), shapes("h.svg"));
    sandbox.rnn("plot -i output.npy -o output.png").succeeds();
    sandbox.rnn("plot -i all.npz --layer 1 -o all.svg").succeeds();
    sandbox.rnn("plot -w w.npz -i x.npy --layer 1 -o h.svg").succeeds();
    assert_eq!(shapes("all.svg"), shapes("h.svg"));
    let picture = sandbox.rnn("plot -i output.npy -o -").succeeds().stdout;
    assert!(picture == sandbox.bytes("output.png"));
    // The flat part of ReLU is zero.
    sandbox.save("h.npy", &ArrayD::<f32>::zeros(vec![5, 2]).view());
    sandbox.rnn("plot -i h.npy --kind saturation --nonlinearity relu -o relu.svg").succeeds();
    assert!(
        String::from_utf8(sandbox.bytes("relu.svg")).unwrap().contains("share of states at zero")
    );
    // One of the sequences of an archive.
    let (a, b) = (ArrayD::<f32>::zeros(vec![5, 2]), ArrayD::<f32>::ones(vec![3, 2]));
    sandbox.save_npz("ragged.npz", &[("a", &a), ("b", &b)]);
    sandbox.rnn("plot -i ragged.npz --row 1 -o ragged.svg").succeeds();
    let text = String::from_utf8(sandbox.bytes("ragged.svg")).unwrap();
    assert!(text.contains("shape [3, 2]") && !text.contains("shape [5, 2]"), "{text}");
    sandbox.rnn("pack -i x.npy --lengths 12,3 -o packed.npz -q").succeeds();
    for (line, code, message) in [
        (
            "-i all.npz --layer 2",
            2,
            "--layer: expected a number from 0 to 1, the layers of the hidden states, got 2\n\
             hint: rnn plot -i all.npz -o h.svg --layer 1",
        ),
        (
            "-i output.npy --layer 0",
            2,
            "output.npy: expected the .npz of --all-hidden with --layer\n\
             hint: rnn plot -i output.npy -o h.svg",
        ),
        (
            "-i packed.npz",
            65,
            "packed.npz: expected padded hidden states, got a packed sequence\n\
             hint: rnn unpack -i packed.npz -o states.npy",
        ),
    ] {
        sandbox.rnn(&format!("plot {line} -o h.svg")).fails(code, &format!("rnn: {message}\n"));
    }
}

/// Sizes at the edges: one unit and one step, many of both.
#[test]
fn small_and_large_layers() {
    let sandbox = Sandbox::new();
    for (steps, units, note) in [
        (1, 1, ""),
        (7, 300, "each cell is the mean of up to 5 units x 1 step;"),
        (2000, 7, "each cell is the mean of up to 1 unit x 16 steps;"),
    ] {
        let states =
            Array3::from_shape_fn((steps, 1, units), |(t, _, u)| ((t * 7 + u) as f32).sin());
        sandbox.save("h.npy", &states.into_dyn().view());
        for kind in ["states", "saturation", "norm", "units"] {
            let units = if units == 1 && kind == "units" { " --units 0" } else { "" };
            sandbox.rnn(&format!("plot -i h.npy --kind {kind}{units} -o h.png")).succeeds();
            sandbox.rnn(&format!("plot -i h.npy --kind {kind}{units} -o h.svg")).succeeds();
            let text = String::from_utf8(sandbox.bytes("h.svg")).unwrap();
            assert!(kind != "states" || text.contains(note), "{text}");
        }
    }
}

#[test]
fn mistakes() {
    let sandbox = Sandbox::new();
    layer(&sandbox);
    for (line, code, message) in [
        (
            "-w w.npz -i x.npy",
            2,
            "expected -o with a .png or .svg, or a terminal, got neither\n\
             hint: rnn plot -w w.npz -i x.npy -o picture.png",
        ),
        (
            "-w w.npz -i x.npy -o h.gif",
            2,
            "h.gif: expected a file name in .png or .svg\nhint: rnn plot -w w.npz -i x.npy -o picture.png",
        ),
        (
            "-w w.npz -i x.npy -o h.png --layer 2",
            2,
            "--layer: expected a number from 0 to 1, the layers of the RNN, got 2\n\
             hint: rnn plot -w w.npz -i x.npy -o h.png --layer 1",
        ),
        (
            "-w w.npz -i x.npy -o h.png --kind units --units 6",
            2,
            "--units: expected a number from 0 to 5, the units of the hidden state, got 6\n\
             hint: rnn plot -w w.npz -i x.npy -o h.png --kind units --units 5",
        ),
        (
            "--kind weights -o h.png",
            2,
            "expected --weights for weights, got none\n\
             hint: rnn plot --kind weights -o h.png --weights w.npz",
        ),
        (
            "-o h.png",
            2,
            "expected --weights and --input, or hidden states as --input, got neither\n\
             hint: rnn plot -o h.png --input output.npy",
        ),
        (
            "-w w.npz -i x.npy -o h.png --size 200x200",
            2,
            "--size: expected a larger picture, with room for each panel",
        ),
    ] {
        sandbox.rnn(&format!("plot {line}")).fails(code, &format!("rnn: {message}\n"));
    }
    // A flag without effect.
    for (line, flag, what) in [
        ("-w w.npz --kind spectrum -o h.png", "-i x.npy", "weights"),
        ("-i x.npy -o h.png", "--h0 h0.npy", "saved states"),
        ("-i x.npy -o h.png", "--units 1", "another kind than units"),
    ] {
        let long = if flag == "-i x.npy" { "--input" } else { &flag[..flag.len() - 2] };
        let long = long.split(' ').next().unwrap();
        let stderr =
            format!("rnn: {long} has no effect on a picture of {what}\nhint: rnn plot {line}\n");
        sandbox.rnn(&format!("plot {line} {flag}")).fails(2, &stderr);
    }
    assert_eq!(sandbox.rnn("plot -w w.npz -i x.npy --size 500x500").code, Some(2));
    // The output is tried before the weights are read.
    sandbox.write("h.png", b"mine");
    let found = sandbox.rnn("plot -w none.npz -i x.npy -o h.png --no-clobber");
    assert_eq!((found.code, sandbox.bytes("h.png")), (Some(73), b"mine".to_vec()));
}

/// In a terminal of 80 columns: 24-bit colours, 256 colours, letters.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_colours_or_letters() {
    let sandbox = Sandbox::new();
    layer(&sandbox);
    let show = |variables: &str, line: &str| show(&sandbox, variables, line);
    let plain = show("TERM=dumb", "-w w.npz -i nan.npy --row 1");
    assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
    assert!(plain.contains("??") && plain.contains("? NaN") && !plain.contains('\x1b'), "{plain}");
    assert!(plain.contains("unit down, step across"), "{plain}");
    let colours = show("COLORTERM=truecolor TERM=xterm", "-w w.npz -i nan.npy --row 1");
    assert!(colours.contains("\x1b[0;38;2;150;150;150;48;2;0;0;0m??"), "{colours}");
    let palette = show("TERM=xterm-256color", "-w w.npz -i nan.npy --row 1");
    assert!(palette.contains("\x1b[0;38;5;246;48;5;16m??"), "{palette}");
    let none = show("TERM=xterm-256color NO_COLOR=1", "-w w.npz --kind spectrum");
    assert!(none.contains('*') && !none.contains('\x1b'), "{none}");
    for kind in ["norm", "saturation", "units"] {
        let text = show("TERM=dumb", &format!("-w w.npz -i nan.npy --row 1 --kind {kind}"));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        // The next prompt has a line too.
        assert!(text.lines().count() < 30 && text.contains("NaN as ? at the lower edge"), "{text}");
    }
}

/// The text that a terminal of 80 columns and 30 lines gets.
#[cfg(target_os = "linux")]
fn show(sandbox: &Sandbox, variables: &str, line: &str) -> String {
    use std::io::Read;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let seat = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&seat).unwrap();
    unlockpt(&seat).unwrap();
    let name = ptsname(&seat, Vec::new()).unwrap().into_string().unwrap();
    // Held open, so that what was written stays readable.
    let process = fs::OpenOptions::new().read(true).write(true).open(&name).unwrap();
    let reader = std::thread::spawn(move || {
        let (mut seat, mut bytes, mut piece) = (fs::File::from(seat), Vec::new(), [0; 4096]);
        while !bytes.ends_with(b"the end\r\n") {
            let count = seat.read(&mut piece).unwrap();
            bytes.extend_from_slice(&piece[..count]);
        }
        String::from_utf8(bytes).unwrap().replace('\r', "").replace("the end\n", "")
    });
    let script = format!(
        "stty -F {name} cols 80 rows 30; env -u NO_COLOR -u COLORTERM {variables} rnn plot {line} > {name}; \
         echo the end > {name}"
    );
    sandbox.shell(&script).succeeds();
    drop(process);
    reader.join().unwrap()
}
