//! The numbers of a file as PyTorch prints them.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;
use elman::files::{Accepts, File, Source, open, read_text};

use super::tensor::gather;

/// The numbers of a tensor, or of each tensor of a bundle below its name.
pub(crate) fn values(file: &Path) -> Result<String> {
    let source = Source::Path(file.to_owned());
    if file.extension() == Some(OsStr::new("txt")) {
        // The file is PyTorch's print already.
        return Ok(read_text(&source)?.trim_end().to_owned());
    }
    let mut bundle = match open(&source, Accepts::Tensors)? {
        File::Bundle(bundle) => bundle,
        file => {
            let mut tensor = file.into_tensor()?;
            return Ok(gather(tensor.reader()?, true, |_| {})?.1.unwrap_or_default());
        }
    };
    let mut texts = Vec::new();
    for index in 0..bundle.entries().len() {
        let name = bundle.entries()[index].name.clone();
        let (_, values) = gather(bundle.reader(index)?, true, |_| {})?;
        texts.push(format!("{name}:\n{}", values.unwrap_or_default()));
    }
    Ok(texts.join("\n"))
}
