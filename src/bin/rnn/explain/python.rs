//! Commands that change a file of NumPy's with Python.

/// A command that writes `file` with two axes swapped, beside it.
pub(crate) fn swapped(file: &str, first: usize, second: usize) -> Option<String> {
    let stem = file.strip_suffix(".npy")?;
    swap(file, &format!("{stem}-swapped.npy"), first, second)
}

/// A command that writes `file` with two axes swapped to `to`, which may be the same file.
pub(super) fn swap(file: &str, to: &str, first: usize, second: usize) -> Option<String> {
    let code = format!("np.save('{to}', np.load('{file}').swapaxes({first}, {second}))");
    [file, to].into_iter().all(needs_no_quotes).then(|| python(&code))
}

/// A command that writes the arrays of an archive as f64 into another one, beside it.
pub(super) fn as_f64(file: &str) -> Option<String> {
    let stem = file.strip_suffix(".npz")?;
    let code = format!(
        "a = np.load('{file}'); np.savez('{stem}-f64.npz', **{{k: a[k].astype('f8') for k in a}})"
    );
    needs_no_quotes(file).then(|| python(&code))
}

fn python(code: &str) -> String {
    format!("python3 -c \"import numpy as np; {code}\"")
}

/// Whether no character of a path ends a string of Python or has a meaning for the shell around it.
fn needs_no_quotes(path: &str) -> bool {
    !path.contains(['\'', '"', '\\', '$', '`', '!'])
}
