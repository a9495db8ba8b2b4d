//! What a bundle says of itself: its format, its tensors, and what stands beside them.

use super::StoredType;

/// One tensor of a bundle, as the file describes it.
///
/// ```
/// use elman::files::{Bundle, Entry, Source, StoredType};
///
/// let bundle = Bundle::open(&Source::parse("fixtures/sine/rnn.npz".as_ref()))?;
/// let expected = Entry { name: "weight_ih_l0".to_owned(), stored: StoredType::F32, shape: vec![8, 1] };
/// assert_eq!(bundle.entries()[0], expected);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without `.npy`, with control characters escaped: messages show it.
    pub name: String,
    /// The type of its numbers in the file.
    pub stored: StoredType,
    /// Its sizes.
    pub shape: Vec<usize>,
}

/// The format of a bundle.
///
/// ```
/// use elman::files::{Bundle, BundleFormat, Source};
///
/// let bundle = Bundle::open(&Source::parse("fixtures/sine/rnn".as_ref()))?;
/// assert_eq!(bundle.format(), BundleFormat::Folder);
/// assert_eq!(BundleFormat::Npz.to_string(), ".npz archive");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleFormat {
    /// A folder of .npy files.
    Folder,
    /// An .npz archive.
    Npz,
    /// A .safetensors file.
    Safetensors,
    /// A checkpoint of PyTorch's, .pt or .pth.
    Pt,
}

impl std::fmt::Display for BundleFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            BundleFormat::Folder => "folder",
            BundleFormat::Npz => ".npz archive",
            BundleFormat::Safetensors => ".safetensors",
            BundleFormat::Pt => ".pt checkpoint",
        })
    }
}

/// The text beside tensors.
///
/// ```
/// use elman::Config;
/// use elman::files::{Bundle, Overwrite, Source, open_folder, write_folder};
/// use ndarray::ArrayD;
///
/// let outside = tempfile::tempdir()?;
/// let path = outside.path().join("w");
/// let folder = open_folder(&path, Overwrite::Replace, |_| true)?;
/// let tensors = [("weight_ih_l0".to_owned(), ArrayD::<f32>::zeros(vec![20, 10]))];
/// write_folder(&folder, &tensors, &Config::new(10, 20).to_json().to_string())?;
/// folder.commit()?;
/// let bundle = Bundle::open(&Source::Path(path))?;
/// let config = bundle.text().map(|text| Config::from_json(&text.text)).transpose()?;
/// assert_eq!(config, Some(Config::new(10, 20)));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it stands, for messages.
    pub place: String,
    /// What it says.
    pub text: String,
}

/// A plain attribute of an object that has tensors.
///
/// ```
/// # #[cfg(feature = "pt")] {
/// use elman::files::{AttributeValue, Bundle, Source};
///
/// // torch.save(nn.RNN(...), 'module.pt')
/// let bundle = Bundle::open(&Source::parse("fixtures/sine/module.pt".as_ref()))?;
/// let mode = bundle.attributes().iter().find(|attribute| attribute.name == "mode");
/// let mode = mode.map(|attribute| attribute.value.clone());
/// assert_eq!(mode, Some(AttributeValue::Text("RNN_TANH".to_owned())));
/// # }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleAttribute {
    /// The object: what stands before the names of its tensors, without the dot at its end.
    pub module: String,
    /// The name of the attribute.
    pub name: String,
    /// Its value.
    pub value: AttributeValue,
}

/// The value of an attribute.
///
/// ```
/// # #[cfg(feature = "pt")] {
/// use elman::files::{AttributeValue, Bundle, Source};
///
/// let bundle = Bundle::open(&Source::parse("fixtures/sine/module.pt".as_ref()))?;
/// let num_layers = bundle.attributes().iter().find_map(|attribute| match attribute.value {
///     AttributeValue::Int(value) if attribute.name == "num_layers" => Some(value),
///     _ => None,
/// });
/// assert_eq!(num_layers, Some(2));
/// # }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
}
