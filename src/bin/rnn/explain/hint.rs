//! Hints: commands that would work, each from the facts of a failure. Most are the typed command, changed.

use std::error::Error;

use elman::files::{FileError, Remedy, Source};
use elman::{CheckpointError, Config, Nonlinearity, Tokens, Vocabulary};

use super::command_line::{CommandLine, quoted};

pub(crate) fn set(flag: &str, value: impl AsRef<str>) -> String {
    CommandLine::new().with(flag, Some(value.as_ref())).to_string()
}

/// With this flag, which has no value.
pub(crate) fn with(flag: &str) -> String {
    CommandLine::new().with(flag, None).to_string()
}

/// With these flags, each with its value behind a space if it has one. `--batch-first` takes it after an equals sign.
pub(crate) fn with_flags(flags: &[String]) -> String {
    let line = flags.iter().fold(CommandLine::new(), |line, flag| match flag.split_once(' ') {
        Some(("--batch-first", value)) => line.with_batch_first(value == "true"),
        Some((flag, value)) => line.with(flag, Some(value)),
        None => line.with(flag, None),
    });
    line.to_string()
}

pub(crate) fn without(flags: &[&str]) -> String {
    CommandLine::new().without(flags).to_string()
}

/// With one word in place of another; `None` unless the word was typed exactly once.
pub(crate) fn replaced(word: &str, other: &str) -> Option<String> {
    Some(CommandLine::new().replaced(word, other)?.to_string())
}

/// For a text in place of ids.
pub(crate) fn vocabulary() -> String {
    format!("a text needs its tokens: {}", set("--vocab", "FILE"))
}

/// For a token that a vocabulary lacks: words, if most of its tokens have several characters, or a token for all others.
pub(crate) fn of_token(error: &elman::Error, vocabulary: &Vocabulary) -> Option<String> {
    let elman::Error::Token { .. } = error else { return None };
    let long = vocabulary.names().filter(|name| name.chars().nth(1).is_some()).count();
    if vocabulary.tokens() == Tokens::Char && 2 * long > vocabulary.names().len() {
        return Some(set("--tokens", "word"));
    }
    let is_known = |token: &&str| vocabulary.names().any(|name| name == *token);
    let unknown = ["<unk>", "<UNK>", "[UNK]"].into_iter().find(is_known);
    Some(match unknown {
        Some(token) => set("--unknown", token),
        None => format!(
            "a token of the vocabulary may stand for all others: {}",
            set("--unknown", "TOKEN")
        ),
    })
}

/// With the options that read a table.
pub(super) fn of_table(error: &FileError) -> Option<String> {
    let FileError::Table { remedy, .. } = error else { return None };
    Some(match remedy {
        Remedy::Columns(columns) => set("--columns", columns.join(",")),
        Remedy::MissingAsNan => set("--missing", "nan"),
        Remedy::FirstLine { numbers } => {
            let line = CommandLine::new().without(&["--no-header"]);
            let or = if *numbers { ", or --no-header if it is numbers" } else { "" };
            format!("if the line names the columns{or}: {}", line.with("--header", None))
        }
    })
}

pub(crate) fn help() -> String {
    CommandLine::new().help()
}

pub(crate) fn zero_state() -> String {
    format!("h_0 is zeros without --h0: {}", without(&["--h0"]))
}

/// With the other order of steps and batch: the axis of the steps has `size` entries, which fits `fits`.
pub(crate) fn other_axes(batch_first: bool, size: usize, fits: &str) -> String {
    let line = CommandLine::new().with_batch_first(!batch_first);
    format!("axis {} of the input has {size}, {fits}: {line}", usize::from(batch_first))
}

pub(crate) fn outputs_outside() -> String {
    let line = CommandLine::new().with("-o", Some("../output.npy"));
    line.with("--hn", Some("../h_n.npy")).to_string()
}

/// A command that writes a file of another program's format as one that is read: one array as an input, or weights.
pub(super) fn of_format(error: &(dyn Error + 'static)) -> Option<String> {
    let of_weights = || match error.downcast_ref()? {
        CheckpointError::File(error) => Some(error),
        _ => None,
    };
    let Some(FileError::Foreign { expected, format, .. }) =
        error.downcast_ref().or_else(of_weights)
    else {
        return None;
    };
    let python = match *format {
        "HDF5" if expected.starts_with(".npy") => {
            "np.save('x.npy', h5py.File(FILE)[NAME][()]) writes one of its arrays"
        }
        "HDF5" => {
            "of a SimpleRNN of Keras: k, r, b = layer.get_weights(); np.savez('w.npz', weight_ih_l0=k.T, \
             weight_hh_l0=r.T, bias_ih_l0=b)"
        }
        "a checkpoint of Flax" => {
            "of a SimpleCell: p = flax.serialization.msgpack_restore(open(FILE, 'rb').read()), down to the cell; \
             np.savez('w.npz', weight_ih_l0=p['i']['kernel'].T, weight_hh_l0=p['h']['kernel'].T, \
             bias_ih_l0=p['i']['bias'])"
        }
        "text in UTF-16" => "iconv -f UTF-16 -t UTF-8 FILE > table.csv makes a table of it",
        _ => return None,
    };
    Some(python.to_owned())
}

/// A pipeline that pads the result: these flags move from `rnn run` to `rnn unpack`.
pub(crate) fn padded(flags: &[(&str, String)], packed: bool) -> String {
    let names: Vec<_> = flags.iter().map(|(flag, _)| *flag).chain(["--lengths"]).collect();
    let line = CommandLine::new().without(&names).with("-o", Some("-"));
    let pack = if packed { "" } else { " | rnn pack -i - -o -" };
    let flags: Vec<_> = flags.iter().map(|(flag, value)| format!("{flag} {value}")).collect();
    format!("{line}{pack} | rnn unpack -i - -o padded.npy {}", flags.join(" "))
}

/// `rnn stream` with files for its standard streams.
pub(crate) fn redirected(files: &str) -> String {
    format!("{} {files}", CommandLine::new())
}

/// `rnn stream` without a state that is carried from one array, or another such thing, to the next.
pub(crate) fn whole_sequences(word: &str) -> String {
    let line = CommandLine::new().without(&["--state", "--checkpoint", "--h0"]);
    format!("each {word} as a whole sequence: {}", line.with("--independent", None))
}

/// `rnn stream` over arrays, which can be batches, instead of frames or the rows of a table; `None` for text.
pub(crate) fn batch_as_arrays() -> Option<String> {
    let of_tables = ["--columns", "--header", "--no-header", "--missing", "--keep", "--names"];
    let line = without(&[&["--frames", "--csv"], &of_tables[..]].concat());
    let is_other = line != CommandLine::new().to_string();
    is_other.then(|| format!("a batch goes on with arrays: {line}"))
}

/// `rnn stream` over the several arrays of an input, with the layer of the typed `rnn run`.
pub(super) fn stream(input: &str, independent: bool) -> String {
    let flags = ["--weights", "--prefix", "--dtype", "--nonlinearity", "--batch-first"];
    let line = CommandLine::new().into_command("stream", &flags);
    let line = if independent { line.with("--independent", None) } else { line };
    let input = if input == "stdin" { String::new() } else { format!(" < {}", quoted(input)) };
    format!("for array after array: {line}{input} > outputs.npy")
}

pub(crate) fn convert(source: &str, target: &str) -> String {
    format!("rnn convert {} {}", quoted(source), quoted(target))
}

pub(super) fn move_here(file: &str) -> String {
    format!("mv {} .", quoted(file))
}

/// An archive of a packed sequence without the None of indices that do not exist.
pub(crate) fn without_none(file: &str) -> String {
    format!("leave it out: np.savez('{file}', data=packed.data, batch_sizes=packed.batch_sizes)")
}

pub(super) fn init(config: &Config, folder: &str) -> String {
    let Config { input_size, hidden_size, num_layers, nonlinearity, dropout, .. } = config;
    let flags = [
        (*num_layers != 1, format!(" --num-layers {num_layers}")),
        (*nonlinearity != Nonlinearity::Tanh, format!(" --nonlinearity {nonlinearity}")),
        (!config.bias, " --no-bias".to_owned()),
        (config.batch_first, " --batch-first".to_owned()),
        (*dropout != 0.0, format!(" --dropout {dropout}")),
        (config.bidirectional, " --bidirectional".to_owned()),
    ];
    let flags: String = flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).collect();
    format!("rnn init --input-size {input_size} --hidden-size {hidden_size}{flags} -o {folder}")
}

/// A command that writes `file` with two axes swapped, beside it.
pub(crate) fn swapped(file: &str, first: usize, second: usize) -> Option<String> {
    let (stem, extension) = match Source::parse(file.as_ref()) {
        Source::Stdin => return None,
        Source::Member(_, name) => (name, "npy"),
        Source::Path(path) => {
            let extension = if path.extension()? == "csv" { "csv" } else { "npy" };
            (path.with_extension("").to_str()?.to_owned(), extension)
        }
    };
    Some(swap(file, &format!("{stem}-swapped.{extension}"), first, second))
}

/// A command that writes `file` with two axes swapped to `to`, which may be the same file.
pub(super) fn swap(file: &str, to: &str, first: usize, second: usize) -> String {
    format!("{} --transpose {first},{second}", convert(file, to))
}

/// The arrays of an archive as f64 in another one, beside it.
pub(crate) fn as_f64(file: &str) -> Option<String> {
    let stem = file.strip_suffix(".npz")?;
    let command = convert(file, &format!("{stem}-f64.npz"));
    Some(format!("all of them as f64: {command} --dtype f64"))
}
