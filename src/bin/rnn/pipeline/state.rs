//! A state in a file, from which a stream goes on where it stopped.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use elman::files::{
    Accepts, AnyArray, Entry, File, Overwrite, Sink, Source, Stored, StoredType, open, write_npz,
};
use elman::{Element, Rnn};
use ndarray::{Array1, ArrayD, IxDyn};

use super::sequences::whole_number;
use crate::explain::hint;
use crate::failure::{Data, with_hint};

/// Members of the archive: the hidden state, the arrays that have gone into it, and the weights and the
/// configuration that it belongs to.
pub(crate) const MEMBERS: [&str; 3] = ["h_n", "count", "fingerprint"];

pub(crate) struct StateFile {
    path: PathBuf,
    /// Its name, for messages.
    pub(crate) place: String,
    fingerprint: u64,
    /// The name of the weights, for messages.
    weights: String,
}

impl StateFile {
    /// Checks that the file can be written, before there is a state to save.
    pub(crate) fn open<T: Element>(path: &Path, rnn: &Rnn<T>, weights: &str) -> Result<Self> {
        drop(Sink::open(path, Overwrite::Replace)?);
        let place = Source::Path(path.to_owned()).to_string();
        let (path, weights) = (path.to_owned(), weights.to_owned());
        let nonlinearity = rnn.config().nonlinearity.to_string();
        Ok(StateFile {
            path,
            place,
            fingerprint: fingerprint(&[&nonlinearity], rnn.to_tensors()),
            weights,
        })
    }

    /// The hidden state and the number of arrays that have gone into it; `None` if there is no file yet.
    pub(crate) fn load<T: Element>(
        &self,
        rnn: &Rnn<T>,
        of_one: Option<&str>,
    ) -> Result<Option<(ArrayD<T>, u64)>> {
        if fs::metadata(&self.path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Ok(None);
        }
        let mut bundle = match open(&Source::Path(self.path.clone()), Accepts::Sequences)? {
            File::Bundle(bundle) if bundle.entries().len() > 1 => bundle,
            _ => return Err(self.refused("", "a single array")),
        };
        let mut places = [0; 3];
        for (place, name) in places.iter_mut().zip(MEMBERS) {
            let found = bundle.position(name);
            *place = found.ok_or_else(|| self.refused("", &format!("no {name}")))?;
        }
        let [h_n, count, fingerprint] = places.map(|place| &bundle.entries()[place]);
        self.check_h_n(rnn, h_n, of_one)?;
        self.check_numbers(1, count, StoredType::I64, &[&[], &[1]])?;
        self.check_numbers(2, fingerprint, StoredType::U8, &[&[8]])?;
        let bytes = bundle.read_as::<f64>(places[2])?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes")]
        let found = bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte as u8));
        if found != self.fingerprint {
            let message = format!(
                "{}:{}: expected {:016x}, that of {}, got {found:016x}: a state of other weights",
                self.place, MEMBERS[2], self.fingerprint, self.weights
            );
            return Err(Data(message).into());
        }
        let count = bundle.read_as::<f64>(places[1])?.sum();
        let whole = whole_number(count);
        let whole = whole.ok_or_else(|| self.refused(":count", &count.to_string()))?;
        Ok(Some((bundle.read_as(places[0])?, whole as u64)))
    }

    /// Replaces the file in one step.
    pub(super) fn save<T: Stored>(&self, h_n: &ArrayD<T>, count: u64) -> Result<()> {
        let count = ArrayD::from_elem(IxDyn(&[]), count.cast_signed());
        let fingerprint = Array1::from_iter(self.fingerprint.to_be_bytes()).into_dyn();
        let mut sink = Sink::open(&self.path, Overwrite::Replace)?;
        let arrays: [&dyn AnyArray; 3] = [h_n, &count, &fingerprint];
        write_npz(&mut sink, &MEMBERS.into_iter().zip(arrays).collect::<Vec<_>>(), "")?;
        Ok(sink.commit()?)
    }

    /// The error for a file that `rnn stream` has not saved.
    fn refused(&self, member: &str, found: &str) -> anyhow::Error {
        let [h_n, count, fingerprint] = MEMBERS;
        let place = &self.place;
        let message = format!(
            "{place}{member}: expected a state of rnn stream, {h_n}, {count} and {fingerprint}, got {found}"
        );
        Data(message).into()
    }

    fn check_h_n<T: Element>(
        &self,
        rnn: &Rnn<T>,
        entry: &Entry,
        of_one: Option<&str>,
    ) -> Result<()> {
        let name = format!("{}:{}", self.place, MEMBERS[0]);
        if entry.stored != T::DTYPE.into() {
            let found = entry.stored;
            let message = format!("{name}: expected {}, as the layer is, got {found}", T::DTYPE);
            return Err(Data(message).into());
        }
        check_shape(rnn, &entry.shape, of_one, &name).map_err(|error| {
            let batched = check_shape(rnn, &entry.shape, None, &name).is_ok();
            with_hint(error, batched.then(hint::batch_as_arrays).flatten())
        })
    }

    fn check_numbers(
        &self,
        member: usize,
        entry: &Entry,
        stored: StoredType,
        shapes: &[&[usize]],
    ) -> Result<()> {
        if entry.stored == stored && shapes.contains(&entry.shape.as_slice()) {
            return Ok(());
        }
        let member = format!(":{}", MEMBERS[member]);
        let found = format!("{} of shape {:?}", entry.stored, entry.shape);
        Err(self.refused(&member, &found))
    }
}

/// A sum over everything that decides the meaning of a result: texts, and the name, type, shape and bits of every
/// tensor, in this order, whatever file they came in. FNV-1a over 64 bits: it finds accidents, not attacks.
pub(crate) fn fingerprint<T: Element>(
    texts: &[&str],
    tensors: impl IntoIterator<Item = (String, ArrayD<T>)>,
) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for &byte in bytes {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    // A length before each text and each shape keeps the sequence of bytes unambiguous.
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    for own in texts {
        add(&text(own));
    }
    for (name, tensor) in tensors {
        add(&text(&name));
        add(&text(T::DESCR));
        add(&(tensor.ndim() as u64).to_le_bytes());
        for &size in tensor.shape() {
            add(&(size as u64).to_le_bytes());
        }
        for &number in &tensor {
            add(number.bytes().as_ref());
        }
    }
    sum
}

/// Refuses a shape that is no hidden state of this layer for any batch; or for one sequence, if the words `of_one` say why.
pub(crate) fn check_shape<T: Element>(
    rnn: &Rnn<T>,
    found: &[usize],
    of_one: Option<&str>,
    name: &str,
) -> Result<()> {
    let unbatched = rnn.hidden_shape(None);
    let batched = found.get(1).map(|&batch| rnn.hidden_shape(Some(batch)));
    if found == unbatched || (of_one.is_none() && Some(found) == batched.as_deref()) {
        return Ok(());
    }
    let [states, hidden_size] = unbatched[..] else { unreachable!("two axes without a batch") };
    let (batched, why) = match of_one {
        Some(why) => (String::new(), format!(", {why}")),
        None => (format!("[{states}, N, {hidden_size}] or "), String::new()),
    };
    let message = format!("{name}: expected shape {batched}{unbatched:?}{why}, got {found:?}");
    Err(Data(message).into())
}
