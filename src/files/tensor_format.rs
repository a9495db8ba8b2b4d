//! The formats of a single tensor as an output.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;

use ndarray::{ArrayView2, ArrayViewD, Axis, Dimension, Ix2};

use super::{AnyArray, Converted, Number, write_npy};
use crate::element::Element;

/// The smallest number with an exponent in .txt: a longer one would widen every column.
const LONG: f64 = 1e6;

/// The format of a single tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorFormat {
    /// NumPy's, for tensors of any rank.
    Npy,
    /// Text with commas between columns, for two dimensions, or for one as a single row. Each number is the shortest
    /// text that reads back to the same bits, and there is no line of names.
    Csv,
    /// The same with tabs.
    Tsv,
    /// Text for reading, of any rank, with four decimals in aligned columns. Other decimals are lost.
    Txt,
}

impl TensorFormat {
    /// The format for the extension of a path; .npy for a name without one, and `None` for other extensions.
    pub fn of(path: &Path) -> Option<Self> {
        Some(match path.extension().map(OsStr::as_encoded_bytes) {
            None | Some(b"" | b"npy") => TensorFormat::Npy,
            Some(b"csv") => TensorFormat::Csv,
            Some(b"tsv") => TensorFormat::Tsv,
            Some(b"txt") => TensorFormat::Txt,
            Some(_) => return None,
        })
    }

    /// Whether it is a table, which holds at most two dimensions, and no empty ones.
    pub fn is_table(self) -> bool {
        matches!(self, TensorFormat::Csv | TensorFormat::Tsv)
    }

    /// Whether it can hold a tensor of this shape.
    pub fn holds(self, shape: &[usize]) -> bool {
        !self.is_table() || (matches!(shape.len(), 1 | 2) && !shape.contains(&0))
    }

    /// Writes a tensor.
    ///
    /// # Errors
    /// The error of the writer, and [`io::ErrorKind::InvalidInput`] for a shape that the format does not hold.
    pub fn write<T: Element>(
        self,
        writer: &mut dyn Write,
        array: &ArrayViewD<'_, T>,
    ) -> io::Result<()> {
        self.check(array.shape())?;
        match self {
            TensorFormat::Npy => write_npy(writer, array),
            TensorFormat::Csv => write_table(writer, array, ","),
            TensorFormat::Tsv => write_table(writer, array, "\t"),
            TensorFormat::Txt => write_blocks(writer, array, |&value| rounded(value)),
        }
    }

    /// Writes a tensor that is converted meanwhile.
    ///
    /// # Errors
    /// Those of [`TensorFormat::write`], and that of the tensor's file.
    pub fn write_converted(self, writer: &mut dyn Write, tensor: &Converted<'_>) -> io::Result<()> {
        let (stored, shape) = (tensor.stored(), tensor.shape());
        self.check(shape)?;
        let separator = match self {
            TensorFormat::Npy => return tensor.write(writer),
            TensorFormat::Txt => {
                let number = |&bits: &u64| match stored.number(bits) {
                    Number::Integer(whole) => whole.to_string(),
                    float => rounded(float.to_f64()),
                };
                return write_blocks(writer, &tensor.held()?.view(), number);
            }
            TensorFormat::Csv => ",",
            TensorFormat::Tsv => "\t",
        };
        let (columns, mut column) = (shape.last().copied().unwrap_or(1), 0);
        tensor.pieces(&mut |bits| {
            for &bits in bits {
                column += 1;
                let end = if column == columns { "\n" } else { separator };
                write!(writer, "{}{end}", plain(stored.number(bits).to_string()))?;
                column %= columns;
            }
            Ok(())
        })
    }

    fn check(self, shape: &[usize]) -> io::Result<()> {
        if self.holds(shape) {
            return Ok(());
        }
        let what = format!("expected rows and columns, got shape {shape:?}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    }
}

/// Rows on lines of their own. A tensor of one axis is one row, because columns are features.
fn write_table<T: Element>(
    writer: &mut dyn Write,
    array: &ArrayViewD<'_, T>,
    separator: &str,
) -> io::Result<()> {
    for row in rows(array.view()).rows() {
        let numbers: Vec<_> = row.iter().map(|&value| shortest(value)).collect();
        writeln!(writer, "{}", numbers.join(separator))?;
    }
    Ok(())
}

/// The shortest text that reads back to the same bits, with an exponent instead of many zeros.
/// NumPy and pandas read `nan`, `inf` and `-0` too.
pub fn shortest<T: Element>(value: T) -> String {
    plain(format!("{value:?}"))
}

/// The text of a number without a fraction of zero.
fn plain(text: String) -> String {
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None if text == "NaN" => "nan".to_owned(),
        None => text,
    }
}

/// A block of rows and columns for each index of the axes before them. A tensor of more than two axes has the index of
/// each block above it, as PyTorch writes it.
fn write_blocks<T>(
    writer: &mut dyn Write,
    array: &ArrayViewD<'_, T>,
    text: impl Fn(&T) -> String,
) -> io::Result<()> {
    let width = array.iter().map(|value| text(value).len()).max().unwrap_or(0);
    let leading = array.shape()[..array.ndim().saturating_sub(2)].to_vec();
    for (block, index) in ndarray::indices(leading).into_iter().enumerate() {
        let index = index.as_array_view();
        if array.ndim() > 2 {
            let line = if block > 0 { "\n" } else { "" };
            let index: Vec<_> = index.iter().map(ToString::to_string).collect();
            writeln!(writer, "{line}[{}, :, :]", index.join(", "))?;
        }
        let own = index.iter().fold(array.view(), |own, &i| own.index_axis_move(Axis(0), i));
        for row in rows(own).rows() {
            let numbers = row.iter().map(|value| format!("{:>width$}", text(value)));
            writeln!(writer, "{}", numbers.collect::<Vec<_>>().join("  "))?;
        }
    }
    Ok(())
}

/// A number with four decimals.
fn rounded<T: Element>(value: T) -> String {
    let text = format!("{value:.4}");
    let long = text.trim_start_matches('-').parse::<f64>().is_ok_and(|size| size >= LONG);
    match text.as_str() {
        "NaN" => "nan".to_owned(),
        "inf" | "-inf" => text,
        _ if long => format!("{value:.4e}"),
        _ => text,
    }
}

/// At most two axes as rows and columns.
fn rows<T>(mut array: ArrayViewD<'_, T>) -> ArrayView2<'_, T> {
    while array.ndim() < 2 {
        array = array.insert_axis(Axis(0));
    }
    array.into_dimensionality::<Ix2>().unwrap_or_else(|_| unreachable!("more than two axes"))
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, array};

    use super::*;

    fn text<T: Element>(format: TensorFormat, array: &ArrayD<T>) -> String {
        let mut bytes = Vec::new();
        format.write(&mut bytes, &array.view()).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn formats_follow_from_extensions() {
        let of = |path: &str| TensorFormat::of(path.as_ref());
        for path in ["-", "y", "y.npy", "y.", ".csv"] {
            assert_eq!(of(path), Some(TensorFormat::Npy), "{path}");
        }
        assert_eq!(of("a.b/y.csv"), Some(TensorFormat::Csv));
        assert_eq!(of("y.npy.tsv"), Some(TensorFormat::Tsv));
        assert_eq!(of("y.txt"), Some(TensorFormat::Txt));
        assert_eq!([of("y.CSV"), of("y.npz")], [None, None]);
    }

    #[test]
    fn numbers_of_tables_read_back() {
        let numbers = array![
            [1.0, -0.0, 0.1, 16_777_216.0],
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX],
            [f32::MIN_POSITIVE, 1e-45, 1e16, 1e15],
        ];
        let expected = "1,-0,0.1,16777216\nnan,inf,-inf,3.4028235e38\n1.1754944e-38,1e-45,1e16,1000000000000000\n";
        assert_eq!(text(TensorFormat::Csv, &numbers.clone().into_dyn()), expected);
        assert_eq!(text(TensorFormat::Tsv, &numbers.into_dyn()), expected.replace(',', "\t"));
        let doubles = array![0.1_f64, 1.0 / 3.0, 5e-324].into_dyn();
        assert_eq!(text(TensorFormat::Csv, &doubles), "0.1,0.3333333333333333,5e-324\n");
        // The order is that of the tensor, not of the memory.
        let transposed = array![[1.0, 2.0], [3.0, 4.0]].reversed_axes().into_dyn();
        assert_eq!(text(TensorFormat::Csv, &transposed), "1,3\n2,4\n");
    }

    #[test]
    fn tables_do_not_hold_other_shapes() {
        for shape in [&[][..], &[0], &[2, 0], &[0, 2], &[1, 1, 1]] {
            assert!(!TensorFormat::Csv.holds(shape), "{shape:?}");
            assert!(TensorFormat::Txt.holds(shape), "{shape:?}");
            let error =
                TensorFormat::Csv.write(&mut Vec::new(), &ArrayD::<f32>::zeros(shape).view());
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert!(TensorFormat::Tsv.holds(&[1]) && TensorFormat::Tsv.holds(&[1, 3]));
    }

    #[test]
    fn txt_has_four_decimals_in_aligned_columns() {
        let text = |array: ArrayD<f32>| text(TensorFormat::Txt, &array);
        assert_eq!(
            text(array![[1.0, -22.5], [0.000_04, f32::NAN]].into_dyn()),
            "  1.0000  -22.5000\n  0.0000       nan\n"
        );
        assert_eq!(
            text(array![1e6, -1.5e30, 2.0].into_dyn()),
            "  1.0000e6  -1.5000e30      2.0000\n"
        );
        assert_eq!(text(array![f32::INFINITY, f32::NEG_INFINITY].into_dyn()), " inf  -inf\n");
        assert_eq!(text(ArrayD::from_elem(vec![], 1.0)), "1.0000\n");
        assert_eq!(
            text(array![[[1.0], [2.0]], [[3.0], [4.0]]].into_dyn()),
            "[0, :, :]\n1.0000\n2.0000\n\n[1, :, :]\n3.0000\n4.0000\n"
        );
        assert_eq!(
            text(ArrayD::zeros(vec![1, 2, 1, 1])),
            "[0, 0, :, :]\n0.0000\n\n[0, 1, :, :]\n0.0000\n"
        );
        assert_eq!(text(ArrayD::zeros(vec![0, 2, 1])), "");
    }
}
