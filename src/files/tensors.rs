//! One tensor, or several by their names, or a graph: for those who ask before they know what they want.

#[cfg(feature = "onnx")]
use super::Graph;
use super::bundle::FORMATS;
use super::source::{Format, Opened};
use super::{Bundle, Source, TensorFile};
use crate::files::error::FileError;

/// What errors call the formats that [`Tensors::open`] takes.
const EXPECTED: &str = ".npy, .npz, a table, a folder of .npy files, .safetensors or .pt";
/// And those that [`Held::open`] takes.
const EXPECTED_OF_ALL: &str = if cfg!(feature = "onnx") {
    ".npy, .npz, a table, a folder of .npy files, .safetensors, .pt or .onnx"
} else {
    EXPECTED
};

/// What a source turns out to hold.
///
/// ```
/// use elman::files::{Source, Tensors};
///
/// let count = |path: &str| -> Result<_, elman::files::FileError> {
///     Ok(match Tensors::open(&Source::parse(path.as_ref()))? {
///         Tensors::One(_) => 1,
///         Tensors::Named(bundle) => bundle.entries().len(),
///     })
/// };
/// assert_eq!(count("fixtures/x.npy")?, 1);
/// assert_eq!(count("fixtures/sine/rnn.npz")?, 8);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum Tensors {
    /// A single tensor.
    One(TensorFile),
    /// Tensors by name, even if it is only one.
    Named(Bundle),
}

/// What a source turns out to hold, whatever it is.
///
/// ```
/// use elman::files::{Held, Source, Tensors};
///
/// match Held::open(&Source::parse("fixtures/x.npy".as_ref()))? {
///     Held::Tensors(Tensors::One(file)) => assert_eq!(file.header().shape, [5, 3, 10]),
///     Held::Tensors(Tensors::Named(bundle)) => panic!("{} tensors", bundle.entries().len()),
/// #     #[cfg(feature = "onnx")]
///     Held::Graph(graph) => panic!("{} nodes", graph.nodes.len()),
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub enum Held {
    /// Tensors.
    Tensors(Tensors),
    /// The graph of an .onnx.
    #[cfg(feature = "onnx")]
    Graph(Graph),
}

impl Tensors {
    /// Opens a .npy file, a table, a member of an archive, or anything that [`Bundle::open`] takes.
    ///
    /// ```
    /// use elman::files::{FileError, Source, Tensors};
    ///
    /// let member = Source::parse("fixtures/sine/rnn.npz:weight_hh_l0".as_ref());
    /// let Tensors::One(weight_hh) = Tensors::open(&member)? else { panic!("one member") };
    /// assert_eq!(weight_hh.header().shape, [8, 8]);
    /// let model = Tensors::open(&Source::parse("fixtures/sine/rnn.onnx".as_ref()));
    /// assert!(matches!(model, Err(FileError::Malformed { .. })));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError::Open`], [`FileError::Malformed`] and [`FileError::Read`] name the place.
    pub fn open(source: &Source) -> Result<Self, FileError> {
        match open(source, &[], EXPECTED)? {
            Held::Tensors(tensors) => Ok(tensors),
            #[cfg(feature = "onnx")]
            Held::Graph(_) => unreachable!("{source}: a graph was not among the formats"),
        }
    }
}

impl Held {
    /// Opens what [`Tensors::open`] takes, or an .onnx.
    ///
    /// ```
    /// # #[cfg(feature = "onnx")] {
    /// use elman::Checkpoint;
    /// use elman::files::{Held, Source};
    ///
    /// let model = Held::open(&Source::parse("fixtures/sine/rnn.onnx".as_ref()))?;
    /// let Held::Graph(graph) = model else { panic!("an .onnx is a graph") };
    /// assert_eq!(Checkpoint::of_graph(&graph, None, None)?.config().hidden_size, 8);
    /// # }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Tensors::open`] and of [`Contents::open`](super::Contents::open).
    pub fn open(source: &Source) -> Result<Self, FileError> {
        let onnx: &[Format] = if cfg!(feature = "onnx") { &[Format::Onnx] } else { &[] };
        open(source, onnx, EXPECTED_OF_ALL)
    }
}

/// Opens what tensors may be in, or what is in one of the `other` formats.
fn open(source: &Source, other: &[Format], expected: &str) -> Result<Held, FileError> {
    let place = source.to_string();
    let named = |bundle| Held::Tensors(Tensors::Named(bundle));
    let one = |file| Held::Tensors(Tensors::One(file));
    let path = match source {
        Source::Member(..) => return TensorFile::open(source).map(one),
        Source::Path(path) if path.is_dir() => return Bundle::open(source).map(named),
        Source::Path(path) => Some(path.as_path()),
        Source::Stdin => None,
    };
    let formats = [&[Format::Npy, Format::Text], &FORMATS[..], other].concat();
    let (opened, format) = Opened::new(path, &place, (&formats, expected))?;
    match format {
        Format::Npy => TensorFile::npy(opened, place).map(one),
        Format::Text => TensorFile::table(opened, place, &[]).map(one),
        #[cfg(feature = "onnx")]
        Format::Onnx => Graph::read(opened, place).map(Held::Graph),
        _ => Bundle::of(path, (opened, format), place).map(named),
    }
}
