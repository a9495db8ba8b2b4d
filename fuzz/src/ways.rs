//! The ways to read a tensor: at once, as bits in pieces, and as numbers in pieces. All say the same, or none
//! says anything.

use elman::Error;
use elman::io::{Bundle, Dtype, Entry, Header, Numbers, Piece, Tensor, TensorFile};
use ndarray::ArrayD;

/// Most numbers of a tensor that is read in all ways.
const MAX_NUMBERS: usize = 1 << 18;

/// Reads every tensor of a bundle.
pub(crate) fn check_bundle(bundle: &mut Bundle) {
    for index in 0..bundle.entries().len() {
        let Entry { stored, shape, .. } = bundle.entries()[index].clone();
        let header = bundle.header(index).unwrap();
        assert_eq!((header.stored, &header.shape), (stored, &shape));
        if header.count() > MAX_NUMBERS {
            continue;
        }
        let whole = match bundle.read(index, Some(Dtype::F64)) {
            Ok(Tensor::F64(array)) => Some(array),
            _ => None,
        };
        let bits = bundle.numbers(index).and_then(all_bits).ok();
        let shown = shown(|visit| bundle.for_each_piece(index, visit));
        agree(&header, whole, bits, shown);
    }
}

/// Reads one tensor, which `open` opens anew each time.
pub(crate) fn check_file(open: impl Fn() -> TensorFile) {
    let mut file = open();
    let header = file.header().clone();
    assert!(!file.recognised().is_empty() && !file.format().is_empty());
    if header.count() <= MAX_NUMBERS {
        let bits = file.numbers().and_then(all_bits).ok();
        agree(&header, open().read().ok(), bits, shown(|visit| open().for_each_piece(visit)));
    }
}

fn all_bits(mut numbers: Numbers<'_>) -> Result<Vec<u64>, Error> {
    let (mut all, mut piece) = (Vec::new(), Vec::new());
    loop {
        numbers.next_piece(&mut piece)?;
        if piece.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(&piece);
    }
}

/// All numbers that are shown, as doubles.
fn shown(show: impl FnOnce(&mut dyn FnMut(Piece<'_>)) -> Result<(), Error>) -> Option<Vec<f64>> {
    let mut all = Vec::new();
    #[allow(clippy::cast_precision_loss, reason = "as they are read at once")]
    let shown = show(&mut |piece| match piece {
        Piece::Floats(numbers) => all.extend_from_slice(numbers),
        Piece::Integers(numbers) => all.extend(numbers.iter().map(|&number| number as f64)),
    });
    shown.ok().map(|()| all)
}

fn agree(
    header: &Header,
    whole: Option<ArrayD<f64>>,
    bits: Option<Vec<u64>>,
    shown: Option<Vec<f64>>,
) {
    let (whole, bits, shown) = match (whole, bits, shown) {
        (Some(whole), Some(bits), Some(shown)) => (whole, bits, shown),
        (None, None, None) => return,
        (whole, bits, shown) => panic!(
            "at once {}, as bits {}, as numbers {}",
            whole.is_some(),
            bits.is_some(),
            shown.is_some()
        ),
    };
    assert_eq!(whole.shape(), header.shape);
    let numbers = bits.iter().map(|&bits| header.stored.number(bits).to_f64());
    same(whole.iter(), numbers);
    // In the order of the file.
    let view = if header.fortran_order { whole.t() } else { whole.view() };
    same(view.iter(), shown.into_iter());
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
