//! `rnn run --group`: rows of a table as sequences, and back.

use ndarray::{ArrayD, Axis, arr2};

use crate::support::Sandbox;

/// A layer of two features with a head of two classes in `m.npz`; `x.csv` with the rows of three sequences, of 3, 2 and 1
/// rows, between each other; and each sequence alone, `a.csv`, `b.csv` and `c.csv`, without a line of names.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let weights: [(&str, ArrayD<f32>); 4] = [
        ("rnn.weight_ih_l0", arr2(&[[0.5, -1.0], [1.0, 0.25], [0.1, 0.2]]).into_dyn()),
        (
            "rnn.weight_hh_l0",
            arr2(&[[0.5, 0.1, 0.2], [0.0, -0.5, 0.3], [0.1, 0.1, 0.1]]).into_dyn(),
        ),
        ("fc.weight", arr2(&[[1.0, 0.0, -1.0], [0.0, 1.0, 0.5]]).into_dyn()),
        ("emb.weight", arr2(&[[1.0, 0.0], [0.0, 1.0]]).into_dyn()),
    ];
    let members = weights.iter().map(|(name, tensor)| (*name, tensor as _));
    sandbox.save_npz("m.npz", &members.collect::<Vec<_>>());
    sandbox.write(
        "x.csv",
        b"Date,Id,p,q\nmon,b 1,0.5,1\nmon,a,2,-1\ntue,\"b 1\",1,0\ntue,7,3,3\nwed,a,-1,0.5\nwed,b 1,0.25,2\n",
    );
    sandbox.write("b.csv", b"0.5,1\n1,0\n0.25,2\n");
    sandbox.write("a.csv", b"2,-1\n-1,0.5\n");
    sandbox.write("c.csv", b"3,3\n");
    sandbox
}

/// Runs the model with these flags.
#[track_caller]
fn run(sandbox: &Sandbox, flags: &str) {
    let outcome = sandbox.rnn(&format!("run -q -w m.npz --nonlinearity tanh {flags}"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

fn text(sandbox: &Sandbox, name: &str) -> String {
    String::from_utf8(sandbox.bytes(name)).unwrap()
}

/// The rows of a table without its first line.
fn lines(sandbox: &Sandbox, name: &str) -> Vec<String> {
    text(sandbox, name).lines().map(str::to_owned).collect()
}

/// Groups of the table, and the number of each of its rows' group.
const NAMES: [&str; 3] = ["b 1", "a", "7"];
const OF_ROW: [usize; 6] = [0, 1, 0, 2, 1, 0];

#[test]
fn each_row_has_the_output_of_its_own_sequence() {
    let sandbox = sandbox();
    for flags in ["", "--head fc", "--head fc --softmax", "--head fc --argmax", "--head fc --top 2"]
    {
        let alone = ["b", "a", "c"].map(|name| {
            run(&sandbox, &format!("-i {name}.csv {flags} -o y.csv"));
            lines(&sandbox, "y.csv")
        });
        run(&sandbox, &format!("-i x.csv --columns p,q --group Id {flags} -o y.csv"));
        let found = lines(&sandbox, "y.csv");
        let mut seen = [0; 3];
        for (line, group) in found[1..].iter().zip(OF_ROW) {
            let expected = &alone[group][seen[group]];
            seen[group] += 1;
            assert_eq!(line, &format!("{},{expected}", NAMES[group]), "{flags}");
        }
        assert_eq!(seen, [3, 2, 1]);
        let columns = found[0].split(',').count();
        assert_eq!(columns, found[1].split(',').count(), "{flags}");
        assert!(found[0].starts_with("Id,output_0"), "{}", found[0]);
        // A tensor has the same numbers without the names.
        if !flags.contains("--top") {
            run(&sandbox, &format!("-i x.csv --columns p,q --group Id {flags} -o y.npy"));
            sandbox.rnn("convert -q y.npy z.csv").succeeds();
            let numbers = found[1..].iter().map(|line| line.split_once(',').unwrap().1);
            let numbers = numbers.collect::<Vec<_>>().join(",");
            assert_eq!(lines(&sandbox, "z.csv").join(","), numbers, "{flags}");
        }
    }
}

#[test]
fn pooled_outputs_and_states_have_a_row_for_each_sequence() {
    let sandbox = sandbox();
    for pool in ["last", "state", "mean", "max"] {
        let flags = format!("--head fc --pool {pool}");
        let alone = ["b", "a", "c"].map(|name| {
            run(&sandbox, &format!("-i {name}.csv {flags} -o y.csv --hn h.csv --last l.csv"));
            ["y.csv", "h.csv", "l.csv"].map(|name| text(&sandbox, name).replace('\n', ""))
        });
        let outputs = "-o y.csv --hn h.csv --last l.csv";
        run(&sandbox, &format!("-i x.csv --columns 3,4 --group 2 {flags} {outputs}"));
        let heads = ["Id,output_0,output_1", "Id,h_n_0,h_n_1,h_n_2", "Id,last_0,last_1,last_2"];
        for (at, (name, head)) in ["y.csv", "h.csv", "l.csv"].into_iter().zip(heads).enumerate() {
            let expected =
                NAMES.iter().zip(&alone).map(|(name, own)| format!("{name},{}", own[at]));
            let expected: Vec<_> = [head.to_owned()].into_iter().chain(expected).collect();
            assert_eq!(lines(&sandbox, name), expected, "{pool}: {name}");
        }
    }
    sandbox.write("labels.txt", b"up\ndown\n");
    run(
        &sandbox,
        "-i x.csv --columns p,q --group Id --head fc --pool last --argmax --labels labels.txt -o y.csv --names class",
    );
    let found = lines(&sandbox, "y.csv");
    assert_eq!(found[0], "Id,class");
    assert!(found[1..].iter().all(|line| line.ends_with("up") || line.ends_with("down")));
    run(&sandbox, "-i x.csv --columns p,q --group Id -o y.tsv --hn h.npy");
    assert_eq!(sandbox.load::<f32>("h.npy").shape(), [1, 3, 3]);
    assert!(text(&sandbox, "y.tsv").starts_with("Id\toutput_0\toutput_1\toutput_2\nb 1\t"));
}

#[test]
fn columns_are_copied_beside_that_of_the_groups() {
    let sandbox = sandbox();
    run(&sandbox, "-i x.csv --columns p,q --group Id --keep Date -o y.csv --names u,v,w");
    let found = lines(&sandbox, "y.csv");
    assert!(found[0] == "Id,Date,u,v,w" && found[1].starts_with("b 1,mon,"), "{found:?}");
    run(&sandbox, "-i x.csv --columns p,q --group Id --keep Date,Id -o y.csv");
    let found = lines(&sandbox, "y.csv");
    assert!(found[0].starts_with("Date,Id,output_0") && found[4].starts_with("tue,7,"));
    // Without --columns, all other columns are numbers; and without names, numbers name them.
    sandbox.write("n.csv", b"1,0.5,1\n2,2,-1\n1,1,0\n");
    run(&sandbox, "-i n.csv --group 1 -o y.csv");
    assert!(lines(&sandbox, "y.csv")[0].starts_with("1,output_0"));
}

#[test]
fn groups_of_ids_and_first_states() {
    let sandbox = sandbox();
    sandbox.write("ids.csv", b"s,id\nu,0\nv,1\nu,1\n");
    run(&sandbox, "-i ids.csv --group s --embedding emb -o y.npy --hn h.npy");
    sandbox.write("u.txt", b"01\n1\n");
    sandbox.write("vocab.txt", b"0\n1\n");
    run(&sandbox, "-i u.txt --vocab vocab.txt --embedding emb -o z.npy --hn g.npy");
    assert_eq!(sandbox.bytes("h.npy"), sandbox.bytes("g.npy"));
    let (y, z) = (sandbox.load::<f32>("y.npy"), sandbox.load::<f32>("z.npy"));
    let at = |t: usize, n: usize| z.index_axis(Axis(0), t).index_axis(Axis(0), n).to_owned();
    for (row, expected) in [at(0, 0), at(0, 1), at(1, 0)].into_iter().enumerate() {
        assert_eq!(y.index_axis(Axis(0), row), expected);
    }
    // From the states that they have left.
    run(&sandbox, "-i ids.csv --group s --embedding emb --h0 h.npy -o y.npy");
    assert!(sandbox.load::<f32>("y.npy") != y);
}

#[test]
fn groups_are_refused_without_a_table() {
    let sandbox = sandbox();
    sandbox.rnn("randn -q --shape 4,2 -o x.npy").succeeds();
    for (line, code, message) in [
        ("-i x.npy --group 1", 2, "x.npy: expected a table with --group, got none"),
        (
            "-i x.csv --group Ids --columns p,q",
            65,
            "x.csv: columns: expected one of Date, Id, p, q, or a number from 1 to 4, got 'Ids'",
        ),
        (
            "-i x.csv --group Id --columns p,q --lengths 3,2,1",
            2,
            "x.csv: expected a padded tensor with --lengths, got sequences that have their own",
        ),
        (
            "-i x.csv --group Id --columns p,q --keep Date --pool last -o y.csv",
            65,
            "--keep: expected a table as input and an output with a row for each of its rows, got an output of shape [3, 3]",
        ),
        (
            "-i x.csv --group Id --columns p,q --check-finite --dtype f32 --embedding emb",
            65,
            "x.csv: expected one column of ids, got 2",
        ),
    ] {
        let outcome = sandbox.rnn(&format!("run -q -w m.npz --nonlinearity tanh {line}"));
        assert_eq!(
            outcome.stderr.lines().find(|line| line.starts_with("rnn: ")),
            Some(&*format!("rnn: {message}")),
            "{line}"
        );
        assert_eq!(outcome.code, Some(code), "{line}");
    }
    // No pipe pads the rows of a table.
    let line =
        "run -q -w m.npz --nonlinearity tanh -i x.csv --group Id --columns p,q --total-length 5";
    let expected = "rnn: x.csv: expected a padded tensor and --lengths with --total-length, got single sequences\n";
    sandbox.rnn(line).fails(2, expected);
    sandbox.write("nan.csv", b"Id,p,q\na,1,2\nb,1,2\na,nan,1\n");
    let line = "run -q -w m.npz --nonlinearity tanh -i nan.csv --group Id --check-finite";
    let outcome = sandbox.rnn(line);
    let expected =
        "rnn: nan.csv: input: expected finite numbers, got NaN at [2, 0] (rows 2, input_size 0)\n";
    assert!(outcome.stderr.ends_with(expected), "{outcome:?}");
}
