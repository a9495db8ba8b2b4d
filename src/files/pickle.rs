//! Python's pickles, protocols 0 to 5: a program for a stack machine becomes a graph of values.
//!
//! Nothing is imported or called. A call of a function and an object of a class are recorded with their
//! arguments, items and state, and the reader of checkpoints looks for tensors among them. Every value is charged
//! to a budget before it is stored.

mod literal;
mod machine;

use std::io::{self, BufRead, ErrorKind};

use super::budget::Budget;
use machine::Machine;

/// The index of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(u32);

impl Id {
    pub(super) fn new(index: usize) -> Self {
        Id(u32::try_from(index).unwrap_or(u32::MAX))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A value that the program has made. It has 16 bytes.
#[derive(Debug)]
#[allow(clippy::box_collection, reason = "a vector has 24 bytes, and most values are small")]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A range of [`Pickle::text`].
    Text(u32, u32),
    /// The name of a class or function, with its module: a range of [`Pickle::text`].
    Global(u32, u32),
    /// A list, tuple or set.
    List(Box<Vec<Id>>),
    Dict(Box<Vec<(Id, Id)>>),
    Object(Box<Object>),
    /// A value beside the pickle, by its identity.
    Persistent(Id),
    /// Bytes, long texts and large integers.
    Opaque,
}

/// The result of a call, and everything that was put into it.
#[derive(Debug)]
pub(super) struct Object {
    /// The class or function.
    pub(super) class: Id,
    /// Its arguments.
    pub(super) args: Vec<Id>,
    /// Items that were appended.
    pub(super) items: Vec<Id>,
    /// Items that were set under a key.
    pub(super) pairs: Vec<(Id, Id)>,
    /// The state, usually the `__dict__`.
    pub(super) state: Option<Id>,
}

/// The values of a pickle.
pub(super) struct Pickle {
    values: Vec<Value>,
    texts: String,
    root: Id,
}

/// The error of a pickle that is not well-formed.
pub(super) fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

impl Pickle {
    /// Follows a program to its end. Bytes behind it are not read.
    pub(super) fn read(reader: &mut dyn BufRead, budget: &mut Budget) -> io::Result<Self> {
        let mut machine = Machine::new(reader, budget);
        while machine.step()? {}
        let root = machine.pop()?;
        Ok(Pickle { values: machine.values, texts: machine.texts, root })
    }

    /// The value that the program returns.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// All values.
    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }

    /// A value.
    pub(super) fn get(&self, id: Id) -> &Value {
        &self.values[id.index()]
    }

    /// The text of a value, if it is one.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match *self.get(id) {
            Value::Text(start, end) => Some(&self.texts[start as usize..end as usize]),
            _ => None,
        }
    }

    /// The name of a class or function, if the value is one.
    pub(super) fn global(&self, id: Id) -> Option<&str> {
        match *self.get(id) {
            Value::Global(start, end) => Some(&self.texts[start as usize..end as usize]),
            _ => None,
        }
    }

    /// The integer of a value that can be a size or an offset.
    pub(super) fn size(&self, id: Id) -> Option<usize> {
        match *self.get(id) {
            Value::Int(value) => usize::try_from(value).ok(),
            _ => None,
        }
    }

    /// The items of a list, tuple or set; of a call with a tuple as its only argument, those of the tuple, as in
    /// `torch.Size((2, 3))`.
    pub(super) fn list(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::List(items) => Some(items),
            Value::Object(object) => match object.args[..] {
                [only] if matches!(self.get(only), Value::List(_)) => self.list(only),
                _ => None,
            },
            _ => None,
        }
    }

    /// The entries of a dictionary.
    pub(super) fn pairs(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Value::Dict(pairs) => Some(pairs),
            Value::Object(object) if !object.pairs.is_empty() => Some(&object.pairs),
            _ => None,
        }
    }

    /// The value under a key of a dictionary.
    pub(super) fn entry(&self, id: Id, key: &str) -> Option<Id> {
        let pairs = self.pairs(id)?.iter().rev();
        pairs.copied().find(|(own, _)| self.text(*own) == Some(key)).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(program: &[u8]) -> io::Result<Pickle> {
        Pickle::read(&mut &*program, &mut Budget::default())
    }

    /// The text or the integer under a key of the dictionary that a program returns.
    fn under(program: &[u8], key: &str) -> Option<String> {
        let pickle = read(program).unwrap();
        let value = pickle.entry(pickle.root(), key)?;
        match pickle.get(value) {
            Value::Int(value) => Some(value.to_string()),
            _ => pickle.text(value).map(str::to_owned),
        }
    }

    #[test]
    fn protocols_0_to_5_give_the_same_dictionary() {
        // pickle.dumps({"a": 300, "b": "\u00e9\n"}, protocol)
        for program in [
            &b"(dp0\nVa\np1\nI300\nsVb\np2\nV\xe9\\u000a\np3\ns."[..],
            b"}q\x00(X\x01\x00\x00\x00aq\x01M,\x01X\x01\x00\x00\x00bq\x02X\x03\x00\x00\x00\xc3\xa9\nq\x03u.",
            b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01M,\x01X\x01\x00\x00\x00bq\x02X\x03\x00\x00\x00\xc3\xa9\nq\x03u.",
            b"\x80\x04\x95\x14\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94M,\x01\x8c\x01b\x94\x8c\x03\xc3\xa9\n\x94u.",
        ] {
            assert_eq!(under(program, "a").as_deref(), Some("300"), "{program:?}");
            let text = under(program, "b").unwrap();
            assert!(text.ends_with('\n') && text.chars().count() == 2, "{text:?}");
        }
    }

    #[test]
    fn integers_have_the_sign_of_their_last_byte() {
        for (program, expected) in [
            (&b"J\xff\xff\xff\xff."[..], -1),
            (b"\x8a\x01\x80.", -128),
            (b"\x8a\x02\x80\x00.", 128),
            (b"\x8a\x00.", 0),
            (b"L-5L\n.", -5),
        ] {
            let pickle = read(program).unwrap();
            assert!(
                matches!(pickle.get(pickle.root()), Value::Int(value) if *value == expected),
                "{program:?}"
            );
        }
        let long = read(b"\x8a\x09\x01\x02\x03\x04\x05\x06\x07\x08\x09.").unwrap();
        assert!(matches!(long.get(long.root()), Value::Opaque));
    }

    #[test]
    fn a_call_keeps_what_was_put_into_it() {
        let program = b"cm\nC\n(K\x01tR(K\x02K\x03eK\x04K\x05sN}b.";
        // The state is set last, below its None.
        let pickle = read(&[&program[..program.len() - 4], b"}b."].concat()).unwrap();
        let Value::Object(object) = pickle.get(pickle.root()) else { panic!("no object") };
        assert_eq!(pickle.global(object.class), Some("m.C"));
        assert_eq!((object.args.len(), object.items.len(), object.pairs.len()), (1, 2, 1));
        assert!(object.state.is_some());
    }

    #[test]
    fn values_are_limited_by_the_budget() {
        for step in [&b"N"[..], b"]", b"}", b")\x85", b"N0", b"(0", b"\x8c\x01a", b"Nq\x000"] {
            let few = [&b"K\x01"[..], &step.repeat(10), b"."].concat();
            assert!(read(&few).is_ok(), "{step:?}");
            let many = [&step.repeat(70_000_000 / step.len())[..], b"."].concat();
            let error = read(&many).err().unwrap().to_string();
            assert_eq!(
                error, "expected names, headers and values within 64 MiB of memory, got more",
                "{step:?}"
            );
        }
    }

    #[test]
    fn programs_that_end_early_or_take_too_much_are_errors() {
        for (program, expected) in [
            (&b"."[..], "expected a value on the pickle's stack, got none"),
            (b"N", ""),
            (b"(t0.", "expected a value on the pickle's stack, got none"),
            (b"h\x00.", "expected a key of the memo, got 0"),
            (b"}(K\x01u.", "expected a value for each key, got none for the last"),
            (b"\xff.", "unexpected pickle opcode 0xff"),
            (b"X\x05\x00\x00\x00ab", "expected 5 bytes, found 2"),
        ] {
            let error = read(program).err().unwrap();
            assert!(error.to_string().contains(expected), "{program:?}: {error}");
        }
    }
}
