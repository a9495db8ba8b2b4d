//! `Header::read`. What it accepts means the same to the crate `ndarray-npy`, and when it is written again.
//! The same bytes as a file, alone and in a folder of weights.

use elman::files::{Header, Source, StoredType};
use ndarray::ArrayD;
use ndarray_npy::{ReadNpyExt, ReadableElement};

use super::stored::descr;
use super::{pipe, scratch, ways};

/// Most bytes of a body that is made for the second opinion.
const MAX_BODY: usize = 1 << 14;

pub fn run(data: &[u8]) {
    if data.starts_with(b"\x93NUMPY") {
        check_file(data);
    }
    let mut rest = data;
    let Ok((header, length)) = Header::read(&mut rest, "fuzz") else { return };
    assert_eq!(usize::try_from(length), Ok(data.len() - rest.len()));
    // The products that the library promises to have checked.
    assert!(isize::try_from(header.body_bytes()).is_ok());

    let written = write(&header);
    let (again, _) = Header::read(&mut &written[..], "fuzz").unwrap();
    // Single bytes have no order, whatever the file says.
    let big_endian = header.big_endian && header.stored.size() > 1;
    assert_eq!(again, Header { big_endian, ..header.clone() });
    second_opinion(&header, &data[..data.len() - rest.len()], false);
    second_opinion(&header, &written, true);
}

fn check_file(data: &[u8]) {
    pipe::check(data);
    let source = scratch::source(data);
    let folder = Source::Path(scratch::folder("folder", "weight_hh_l0.npy", data));
    match (ways::open(&source), ways::open_bundle(&folder)) {
        (Ok(file), Some(mut bundle)) => {
            let entry = &bundle.entries()[0];
            assert_eq!((entry.stored, &entry.shape), (file.header().stored, &file.header().shape));
            // A single array has no members.
            let Source::Path(path) = &source else { panic!("{source}: a path") };
            let member = Source::Member(path.clone(), "weight_hh_l0".to_owned());
            ways::printable(&ways::open(&member).unwrap_err().to_string());
            ways::printable(&format!("{file:?}"));
            ways::check_file(|| ways::open(&source).unwrap());
            ways::check_bundle(&mut bundle);
        }
        // In a folder, an array of a type that is not read is listed.
        (Err(alone), Some(mut bundle))
            if matches!(bundle.entries()[0].stored, StoredType::Other(_)) =>
        {
            ways::printable(&alone.to_string());
            ways::check_bundle(&mut bundle);
        }
        (Err(alone), None) => ways::printable(&alone.to_string()),
        (alone, among) => panic!("alone {alone:?}, in a folder {among:?}"),
    }
}

/// The header as NumPy writes it.
fn write(header: &Header) -> Vec<u8> {
    let order = if header.big_endian { '>' } else { '<' };
    let order = if header.stored.size() == 1 { '|' } else { order };
    let fortran = if header.fortran_order { "True" } else { "False" };
    let sizes: Vec<_> = header.shape.iter().map(|size| format!("{size},")).collect();
    let shape = sizes.join(" ");
    let descr = descr(header.stored).unwrap();
    let text = format!(
        "{{'descr': '{order}{descr}', 'fortran_order': {fortran}, 'shape': ({shape}), }}\n"
    );
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x02\x00", &length[..], text.as_bytes()].concat()
}

/// What `ndarray-npy` makes of the same header before a body of zeros. It refuses some of what NumPy
/// writes, but nothing in the `plain` form above.
fn second_opinion(header: &Header, bytes: &[u8], plain: bool) {
    let bytes = match header.body_bytes() {
        // It makes an array of no numbers by the sizes beside the zero.
        body if body <= MAX_BODY => [bytes, &vec![0; body]].concat(),
        _ => return,
    };
    match header.stored {
        StoredType::Bool => compare::<bool>(header, &bytes, plain),
        StoredType::I8 => compare::<i8>(header, &bytes, plain),
        StoredType::I16 => compare::<i16>(header, &bytes, plain),
        StoredType::I32 => compare::<i32>(header, &bytes, plain),
        StoredType::I64 => compare::<i64>(header, &bytes, plain),
        StoredType::U8 => compare::<u8>(header, &bytes, plain),
        StoredType::U16 => compare::<u16>(header, &bytes, plain),
        StoredType::U32 => compare::<u32>(header, &bytes, plain),
        StoredType::U64 => compare::<u64>(header, &bytes, plain),
        StoredType::F32 => compare::<f32>(header, &bytes, plain),
        StoredType::F64 => compare::<f64>(header, &bytes, plain),
        StoredType::F16 | StoredType::BF16 | StoredType::Text | StoredType::Other(_) => {}
    }
}

fn compare<T: ReadableElement>(header: &Header, bytes: &[u8], plain: bool) {
    match ArrayD::<T>::read_npy(bytes) {
        Ok(array) => {
            assert_eq!(array.shape(), header.shape);
            // Where there is only one order, the file may say either.
            let several = header.shape.iter().filter(|&&size| size > 1).count() > 1;
            if several && !array.is_empty() {
                assert_eq!(array.is_standard_layout(), !header.fortran_order);
            }
        }
        Err(error) => assert!(!plain, "{error}"),
    }
}
