//! The ways to read a tensor: at once, as bits in pieces, and as bits in the order of the file. All say the
//! same, or none says anything.

use elman::Dtype;
use elman::files::{
    self, Accepts, Bundle, Entry, File, FileError, Header, Number, Source, StoredType, Tensor,
    TensorFile, TensorReader,
};
use ndarray::ArrayD;

/// Most numbers of a tensor that are written as text.
const MAX_TEXTS: usize = 16;
/// Most numbers of a tensor that is read in all ways.
pub(crate) const MAX_NUMBERS: usize = 1 << 18;

/// Opens one tensor.
pub(crate) fn open(source: &Source) -> Result<TensorFile, FileError> {
    files::open(source, Accepts::Tensor)?.into_tensor()
}

/// Opens a bundle.
pub(crate) fn open_bundle(source: &Source) -> Option<Bundle> {
    match files::open(source, Accepts::Model) {
        Ok(File::Bundle(bundle)) => Some(bundle),
        _ => None,
    }
}

/// Reads every tensor of a bundle.
pub(crate) fn check_bundle(bundle: &mut Bundle) {
    printable(&format!("{} {bundle:?}", bundle.format()));
    for index in 0..bundle.entries().len() {
        let Entry { stored, shape, .. } = bundle.entries()[index].clone();
        if shape.iter().product::<usize>() > MAX_NUMBERS {
            continue;
        }
        let whole = match bundle.read(index, Some(Dtype::F64)) {
            Ok(Tensor::F64(array)) => Some(array),
            _ => None,
        };
        let header = bundle.reader(index).map(|reader| reader.header().clone());
        let bits = bundle.reader(index).and_then(all_bits).ok();
        let in_order =
            bundle.reader(index).map(TensorReader::in_file_order).and_then(all_bits).ok();
        let Ok(header) = header else {
            assert!(whole.is_none() && bits.is_none() && in_order.is_none());
            continue;
        };
        assert_eq!((header.stored, &header.shape), (stored, &shape));
        agree(&header, whole, bits, in_order);
    }
}

/// Reads one tensor, which `open` opens anew each time.
pub(crate) fn check_file(open: impl Fn() -> TensorFile) {
    let mut file = open();
    let header = file.header().clone();
    assert!(!file.recognised().is_empty() && !file.format().is_empty());
    if header.count() <= MAX_NUMBERS {
        let reader = file.reader().inspect(|reader| printable(&format!("{reader:?}")));
        let bits = reader.and_then(all_bits).ok();
        let in_order = open().reader().map(TensorReader::in_file_order).and_then(all_bits).ok();
        agree(&header, open().read().ok(), bits, in_order);
    }
}

/// The bits of all numbers.
pub(crate) fn all_bits(mut reader: TensorReader<'_>) -> Result<Vec<u64>, FileError> {
    let (mut all, mut piece) = (Vec::new(), Vec::new());
    loop {
        reader.next_bits(&mut piece)?;
        if piece.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(&piece);
    }
}

/// What is shown of a number is the number.
fn check_text(number: Number) {
    let text = number.to_string();
    match number {
        Number::Integer(value) => assert_eq!(text.parse(), Ok(value)),
        Number::F32(value) if value.is_nan() => assert_eq!(text, "NaN"),
        Number::F64(value) if value.is_nan() => assert_eq!(text, "NaN"),
        Number::F32(value) => assert_eq!(text.parse().map(f32::to_bits), Ok(value.to_bits())),
        Number::F64(value) => assert_eq!(text.parse().map(f64::to_bits), Ok(value.to_bits())),
    }
}

/// Floats have infinities.
fn check_type(stored: StoredType) {
    printable(&stored.to_string());
    assert!(stored.is_float() || !stored.is_computed());
    assert_eq!(stored.infinity().is_some(), stored.is_float());
    let infinity = stored.infinity().map(|bits| stored.number(bits).to_f64());
    assert!(infinity.is_none_or(|number| number == f64::INFINITY));
}

/// What is shown on a terminal does nothing to it, whatever the file says.
pub(crate) fn printable(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

fn agree(
    header: &Header,
    whole: Option<ArrayD<f64>>,
    bits: Option<Vec<u64>>,
    in_order: Option<Vec<u64>>,
) {
    let (whole, bits, in_order) = match (whole, bits, in_order) {
        (Some(whole), Some(bits), Some(in_order)) => (whole, bits, in_order),
        (None, None, None) => return,
        (whole, bits, in_order) => panic!(
            "at once {}, as bits {}, in the order of the file {}",
            whole.is_some(),
            bits.is_some(),
            in_order.is_some()
        ),
    };
    assert_eq!(whole.shape(), header.shape);
    check_type(header.stored);
    for &bits in bits.iter().take(MAX_TEXTS) {
        check_text(header.stored.number(bits));
    }
    let number = |bits: u64| header.stored.number(bits).to_f64();
    same(whole.iter(), bits.into_iter().map(number));
    let view = if header.fortran_order { whole.t() } else { whole.view() };
    same(view.iter(), in_order.into_iter().map(number));
}

/// As many numbers, the same to the bit. What is no number has many bits.
fn same<'a>(left: impl Iterator<Item = &'a f64>, right: impl Iterator<Item = f64>) {
    let right: Vec<f64> = right.collect();
    let left: Vec<f64> = left.copied().collect();
    assert_eq!(left.len(), right.len());
    for (left, right) in left.into_iter().zip(right) {
        assert!(left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan()));
    }
}
