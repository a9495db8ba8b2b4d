//! The plain attributes of modules: what `torch.save(model)` keeps beside the weights.
//!
//! `pytorch-reader` reads a module as its `state_dict` and forgets the rest, so the same pickle is followed
//! once more, for texts, numbers and truths alone. Nothing is called: whatever a step would make that is
//! none of these is a blank, and a pickle with a step that is not known has no attributes.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use crate::files::{AttributeValue, ModuleAttribute, escaped};

/// The longest name of a module with those around it; longer ones are nobody's.
const MAX_PATH: usize = 256;

/// Most modules that wait to be visited: more than any model has.
const MAX_WAITING: usize = 100_000;

/// As many attributes as a few thousand modules have. A file can name one module without end.
const MAX_ATTRIBUTES: usize = 100_000;

/// Most values that a pickle may make, and most that may stand on its stack, in its memo or in its
/// dictionaries: as many as thousands of modules have. Each takes up to 40 bytes here, and one in the file.
const MAX_KEPT: usize = 1 << 19;

/// What a pickle makes. Values are numbers of nodes, so that sharing costs nothing and a ring is no harm.
enum Node {
    Plain(AttributeValue),
    Dict(Vec<(usize, usize)>),
    /// An object, and its `__dict__`.
    Object(Option<usize>),
    Blank,
}

/// The stack machine that a pickle is a program for.
#[derive(Default)]
struct Machine {
    nodes: Vec<Node>,
    stack: Vec<usize>,
    marks: Vec<usize>,
    memo: HashMap<u32, usize>,
    /// Entries of all dictionaries.
    pairs: usize,
}

/// The attributes of all modules in a pickle.
pub(super) fn attributes(mut pickle: &[u8]) -> Vec<ModuleAttribute> {
    let mut machine = Machine::default();
    loop {
        match machine.step(&mut pickle) {
            Some(true) => {}
            Some(false) => break,
            None => return Vec::new(),
        }
    }
    machine.stack.last().map_or(Vec::new(), |&root| machine.collect(root))
}

impl Machine {
    /// One step; false at the end, None where the program cannot be followed.
    fn step(&mut self, reader: &mut dyn BufRead) -> Option<bool> {
        let kept =
            [self.nodes.len(), self.stack.len(), self.marks.len(), self.memo.len(), self.pairs];
        if kept.into_iter().any(|kept| kept > MAX_KEPT) {
            return None;
        }
        let [code] = bytes(reader)?;
        match code {
            b'.' => return Some(false),
            0x80 => drop(bytes::<1>(reader)?),
            0x95 => drop(bytes::<8>(reader)?),
            b'(' => self.marks.push(self.stack.len()),
            b'}' => self.push(Node::Dict(Vec::new())),
            b'N' | b')' | b']' | 0x8f => self.push(Node::Blank),
            b'c' => {
                skip_line(reader)?;
                skip_line(reader)?;
                self.push(Node::Blank);
            }
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(code, reader)?,
            _ => match plain(code, reader) {
                Some(value) => self.push(Node::Plain(value)),
                None => self.apply(code)?,
            },
        }
        Some(true)
    }

    /// A step that only concerns what is on the stack.
    fn apply(&mut self, code: u8) -> Option<()> {
        match code {
            // What goes into a list is of no interest.
            b'0' | b'a' => drop(self.pop()?),
            b'e' | 0x90 => drop(self.pop_marked()?),
            b't' | b'l' | 0x91 => {
                self.pop_marked()?;
                self.push(Node::Blank);
            }
            0x85..=0x87 => self.replace(usize::from(code - 0x84), Node::Blank)?,
            b'Q' => self.replace(1, Node::Blank)?,
            0x93 => self.replace(2, Node::Blank)?,
            // What a call makes may be an OrderedDict; in anything else nothing will be put.
            b'R' => self.replace(2, Node::Dict(Vec::new()))?,
            0x81 => self.replace(2, Node::Object(None))?,
            b'b' => {
                let state = self.pop()?;
                if let Node::Object(attributes) = self.top()? {
                    *attributes = Some(state);
                }
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_marked()?;
                self.insert(&items)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn pop(&mut self) -> Option<usize> {
        self.stack.pop()
    }

    fn top(&mut self) -> Option<&mut Node> {
        self.stack.last().map(|&top| &mut self.nodes[top])
    }

    fn pop_marked(&mut self) -> Option<Vec<usize>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn replace(&mut self, count: usize, node: Node) -> Option<()> {
        self.stack.truncate(self.stack.len().checked_sub(count)?);
        self.push(node);
        Some(())
    }

    fn insert(&mut self, items: &[usize]) -> Option<()> {
        if let Node::Dict(pairs) = self.top()? {
            pairs.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            self.pairs += items.len() / 2;
        }
        Some(())
    }

    /// Puts what is on the stack into the memo, or the other way round.
    fn remember(&mut self, code: u8, reader: &mut dyn BufRead) -> Option<()> {
        let index = match code {
            b'q' | b'h' => u32::from(bytes::<1>(reader)?[0]),
            b'r' | b'j' => u32::from_le_bytes(bytes(reader)?),
            _ => u32::try_from(self.memo.len()).ok()?,
        };
        if matches!(code, b'h' | b'j') {
            self.stack.push(*self.memo.get(&index)?);
        } else {
            self.memo.insert(index, *self.stack.last()?);
        }
        Some(())
    }

    /// The attributes of all modules from `root` on. Each is visited once, however often it is named.
    fn collect(&self, root: usize) -> Vec<ModuleAttribute> {
        let mut found = Vec::new();
        let mut seen = vec![false; self.nodes.len()];
        let mut waiting = vec![(root, String::new())];
        while let Some((index, path)) = waiting.pop() {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            if found.len() > MAX_ATTRIBUTES {
                break;
            }
            let (children, module) = match &self.nodes[index] {
                Node::Dict(pairs) => (Some(pairs), None),
                Node::Object(Some(state)) => (self.item(*state, "_modules"), Some(*state)),
                _ => (None, None),
            };
            for (name, child) in self.named(children) {
                let dot = if path.is_empty() { "" } else { "." };
                // A pair takes four bytes of the pickle, and here a path of its own.
                let is_long = path.len() + dot.len() + name.len() > MAX_PATH;
                if seen[child] || is_long || waiting.len() >= MAX_WAITING {
                    continue;
                }
                waiting.push((child, format!("{path}{dot}{name}")));
            }
            let attributes = module.and_then(|state| self.dict(state));
            for (name, value) in self.named(attributes).take(MAX_ATTRIBUTES) {
                let Node::Plain(value) = &self.nodes[value] else { continue };
                let (module, name) = (escaped(&path), escaped(name));
                found.push(ModuleAttribute { module, name, value: value.clone() });
            }
        }
        found
    }

    fn dict(&self, index: usize) -> Option<&Vec<(usize, usize)>> {
        if let Node::Dict(pairs) = &self.nodes[index] { Some(pairs) } else { None }
    }

    fn item(&self, index: usize, key: &str) -> Option<&Vec<(usize, usize)>> {
        let mut items = self.named(self.dict(index));
        items.find(|(name, _)| *name == key).and_then(|(_, value)| self.dict(value))
    }

    /// The pairs of a dictionary whose keys are texts.
    fn named<'a>(
        &'a self,
        pairs: Option<&'a Vec<(usize, usize)>>,
    ) -> impl Iterator<Item = (&'a str, usize)> {
        pairs.into_iter().flatten().filter_map(|&(key, value)| match &self.nodes[key] {
            Node::Plain(AttributeValue::Text(name)) => Some((name.as_str(), value)),
            _ => None,
        })
    }
}

/// The value that a step pushes by itself.
fn plain(code: u8, reader: &mut dyn BufRead) -> Option<AttributeValue> {
    Some(match code {
        0x88 => AttributeValue::Bool(true),
        0x89 => AttributeValue::Bool(false),
        b'K' => AttributeValue::Int(i64::from(bytes::<1>(reader)?[0])),
        b'M' => AttributeValue::Int(i64::from(u16::from_le_bytes(bytes(reader)?))),
        b'J' => AttributeValue::Int(i64::from(i32::from_le_bytes(bytes(reader)?))),
        b'G' => AttributeValue::Float(f64::from_be_bytes(bytes(reader)?)),
        // Text, or an integer so long that it is nobody's attribute: what it says does not matter.
        0x8c | 0x8a => {
            let length = u64::from(bytes::<1>(reader)?[0]);
            AttributeValue::Text(text(reader, length)?)
        }
        b'X' => {
            let length = u64::from(u32::from_le_bytes(bytes(reader)?));
            AttributeValue::Text(text(reader, length)?)
        }
        _ => return None,
    })
}

fn bytes<const N: usize>(reader: &mut dyn BufRead) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// A text of this length. Memory grows only as fast as bytes arrive.
fn text(reader: &mut dyn BufRead, length: u64) -> Option<String> {
    let mut bytes = Vec::new();
    reader.take(length).read_to_end(&mut bytes).ok()?;
    let whole = bytes.len() as u64 == length;
    whole.then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn skip_line(reader: &mut dyn BufRead) -> Option<()> {
    reader.skip_until(b'\n').ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(module: &str, name: &str, value: AttributeValue) -> ModuleAttribute {
        ModuleAttribute { module: module.to_owned(), name: name.to_owned(), value }
    }

    #[test]
    fn attributes_of_a_module_and_of_those_in_it() {
        let inner = b"cm\nB\n)\x81}X\x01\0\0\0pG\x3f\xe0\0\0\0\0\0\0sb";
        let outer = [&b"}(X\x01\0\0\0n\x88\x8c\x08_modules}\x8c\x01c"[..], inner, b"su"].concat();
        let pickle = [&b"\x80\x02cm\nA\n)\x81q\0"[..], &outer, b"b."].concat();
        let expected = [
            attribute("", "n", AttributeValue::Bool(true)),
            attribute("c", "p", AttributeValue::Float(0.5)),
        ];
        assert_eq!(attributes(&pickle), expected);
    }

    #[test]
    fn a_module_within_itself_is_visited_once() {
        let pickle = b"cm\nA\n)\x81q\0}(\x8c\x01nK\x07\x8c\x08_modules}\x8c\x01ch\0sub.";
        assert_eq!(attributes(pickle), [attribute("", "n", AttributeValue::Int(7))]);
    }

    /// An object with an attribute, and as `_modules` these pairs of names and objects.
    fn outer(pairs: &[u8]) -> Vec<u8> {
        [b"cm\nA\n)\x81}(\x8c\x01nK\x07\x8c\x08_modules}(", pairs, b"uub."].concat()
    }

    /// A pair of a name and an object, whose `__dict__` has what these bytes make.
    fn pair(name: &str, attributes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(name.len()).unwrap().to_le_bytes();
        [b"X", &length[..], name.as_bytes(), b"cm\nB\n)\x81}(", attributes, b"ub"].concat()
    }

    const P: &[u8] = b"\x8c\x01pK\x01";

    #[test]
    fn no_more_modules_wait_than_any_model_has() {
        let many = |count: usize| (0..count).flat_map(|i| pair(&i.to_string(), b""));
        let pairs = |count: usize| many(count).chain(pair("last", P)).collect::<Vec<u8>>();
        for (count, expected) in [(10, 2), (MAX_WAITING + 1, 1)] {
            assert_eq!(attributes(&outer(&pairs(count))).len(), expected, "{count}");
        }
    }

    #[test]
    fn a_pickle_that_makes_values_without_end_has_no_attributes() {
        let module = outer(b"");
        let with = |steps: &[u8], times: usize| {
            attributes(&[&steps.repeat(times)[..], &module].concat()).len()
        };
        for steps in [&b"N0"[..], b"}0", b"N", b"(", b"}K\x01K\x01s0"] {
            assert_eq!((with(steps, 10), with(steps, MAX_KEPT + 1)), (1, 0), "{steps:?}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_nobodys() {
        for (length, expected) in [(MAX_PATH, 2), (MAX_PATH + 1, 1)] {
            let found = attributes(&outer(&pair(&"a".repeat(length), P)));
            assert_eq!(found.len(), expected, "{length}");
        }
    }

    #[test]
    fn what_cannot_be_followed_has_no_attributes() {
        for pickle in [&b""[..], b"\x82\x01.", b"u.", b"b.", b"(((ttt\x87.", b"X\xff\xff\xff\xffa."]
        {
            assert_eq!(attributes(pickle), [], "{pickle:?}");
        }
    }
}
