//! The stack machine: instructions that build containers, calls and objects.

use std::collections::HashMap;
use std::io::{self, BufRead};

use super::{Id, Object, Value, broken};
use crate::files::budget::Budget;

/// Bytes of a value and its place on the stack, in vectors that double their memory when they are full.
const VALUE_BYTES: usize = 2 * (size_of::<Value>() + size_of::<Id>());
/// Bytes of a container: a vector in a box, and what the allocator adds to both.
const CONTAINER_BYTES: usize = size_of::<Vec<Id>>() + 40;
/// Bytes of a call or an object.
const OBJECT_BYTES: usize = size_of::<Object>() + 40;
/// Bytes of an entry of the memo, a hash table that is half full.
const MEMO_BYTES: usize = 32;
/// Bytes of an item of a container that doubles its memory when it is full.
const ITEM_BYTES: usize = 2 * size_of::<Id>();

/// The stack machine.
pub(super) struct Machine<'a> {
    pub(super) reader: &'a mut dyn BufRead,
    pub(super) budget: &'a mut Budget,
    pub(super) values: Vec<Value>,
    pub(super) texts: String,
    stack: Vec<Id>,
    /// Lengths of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(reader: &'a mut dyn BufRead, budget: &'a mut Budget) -> Self {
        Machine {
            reader,
            budget,
            values: Vec::new(),
            texts: String::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// One instruction; false at the end of the program.
    pub(super) fn step(&mut self) -> io::Result<bool> {
        // Instructions that store nothing take time.
        self.budget.charge(1)?;
        let [code] = self.bytes()?;
        match code {
            b'.' => return Ok(false),
            // The protocol, and the length of a frame.
            0x80 => drop(self.bytes::<1>()?),
            0x95 => drop(self.bytes::<8>()?),
            b'(' => {
                self.budget.charge(size_of::<usize>())?;
                self.marks.push(self.stack.len());
            }
            b'0' => self.discard()?,
            b'1' => drop(self.marked()?),
            b'2' => self.top().and_then(|top| self.again(top))?,
            b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.remember(code)?,
            b'a' | b'e' | 0x90 | b's' | b'u' | b'b' => self.put(code)?,
            b'R' | 0x81 | 0x92 | b'o' | b'i' => self.call(code)?,
            b'c' | 0x93 | 0x82 | 0x83 | 0x84 => self.find(code)?,
            b')' | b']' | 0x8f | b't' | b'l' | 0x91 | 0x85 | 0x86 | 0x87 => self.sequence(code)?,
            b'}' => self.dict(&[])?,
            b'd' => {
                let items = self.marked()?;
                self.dict(&items)?;
            }
            b'P' => {
                let line = self.line()?;
                self.push_text(&line)?;
                self.persistent()?;
            }
            b'Q' => self.persistent()?,
            // A buffer outside the pickle, and a mark that it is read-only.
            0x97 => self.push(Value::Opaque)?,
            0x98 => {}
            _ => self.constant(code)?,
        }
        Ok(true)
    }

    /// A dictionary of these keys and values.
    fn dict(&mut self, items: &[Id]) -> io::Result<()> {
        self.budget.charge(CONTAINER_BYTES + items.len() * ITEM_BYTES)?;
        self.push(Value::Dict(Box::new(pairs(items)?)))
    }

    /// A persistent identity becomes the value that it stands for.
    fn persistent(&mut self) -> io::Result<()> {
        let id = self.pop()?;
        self.push(Value::Persistent(id))
    }

    /// Stores into the memo, or loads from it.
    fn remember(&mut self, code: u8) -> io::Result<()> {
        let key = match code {
            b'p' | b'g' => self
                .line()?
                .parse()
                .map_err(|_| broken("expected a number as a key of the memo, got another text"))?,
            b'q' | b'h' => u32::from(self.bytes::<1>()?[0]),
            b'r' | b'j' => u32::from_le_bytes(self.bytes()?),
            _ => u32::try_from(self.memo.len()).unwrap_or(u32::MAX),
        };
        if let b'g' | b'h' | b'j' = code {
            let value = self.memo.get(&key).copied();
            return self.again(
                value.ok_or_else(|| broken(format!("expected a key of the memo, got {key}")))?,
            );
        }
        self.budget.charge(MEMO_BYTES)?;
        self.memo.insert(key, self.top()?);
        Ok(())
    }

    /// Puts items, entries or a state into the value below them.
    fn put(&mut self, code: u8) -> io::Result<()> {
        let items = match code {
            b'a' | b'b' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.marked()?,
        };
        self.budget.charge(items.len() * ITEM_BYTES)?;
        let top = self.top()?;
        match (&mut self.values[top.index()], code) {
            (Value::Object(object), b'b') => object.state = items.last().copied(),
            (Value::Object(object), b's' | b'u') => object.pairs.extend(pairs(&items)?),
            (Value::Object(object), _) => object.items.extend(items),
            (Value::Dict(own), b's' | b'u') => own.extend(pairs(&items)?),
            (Value::List(own), b'a' | b'e' | 0x90) => own.extend(items),
            // A class can have any of these methods, and nothing is known of a value beside the pickle.
            (Value::Opaque | Value::Persistent(_) | Value::Global(..), _) => {}
            _ => {
                return Err(broken(
                    "expected a container or an object to change, got a plain value",
                ));
            }
        }
        Ok(())
    }

    /// Records a call of a class or function.
    fn call(&mut self, code: u8) -> io::Result<()> {
        let (class, args) = match code {
            b'o' => {
                let mut items = self.marked()?;
                if items.is_empty() {
                    return Err(underflow());
                }
                (items.remove(0), items)
            }
            b'i' => {
                let args = self.marked()?;
                self.global()?;
                (self.pop()?, args)
            }
            _ => {
                if code == 0x92 {
                    // Arguments with names are the state of no class that is read.
                    self.discard()?;
                }
                let args = self.pop()?;
                let items = match &self.values[args.index()] {
                    Value::List(items) => items.to_vec(),
                    _ => Vec::new(),
                };
                (self.pop()?, items)
            }
        };
        self.budget.charge(OBJECT_BYTES + args.len() * ITEM_BYTES)?;
        let object = Object { class, args, items: Vec::new(), pairs: Vec::new(), state: None };
        self.push(Value::Object(Box::new(object)))
    }

    /// A class or function by its name.
    fn find(&mut self, code: u8) -> io::Result<()> {
        match code {
            b'c' => return self.global(),
            0x93 => {}
            // An extension, by the number in a registry that is not in the file.
            0x82 => drop(self.bytes::<1>()?),
            0x83 => drop(self.bytes::<2>()?),
            _ => drop(self.bytes::<4>()?),
        }
        if code != 0x93 {
            return self.push(Value::Opaque);
        }
        let (name, module) = (self.pop()?, self.pop()?);
        let (Value::Text(from, to), Value::Text(start, end)) =
            (&self.values[module.index()], &self.values[name.index()])
        else {
            return Err(broken("expected text as the name of a class, got another value"));
        };
        let text = |from: u32, to: u32| self.texts[from as usize..to as usize].to_owned();
        let name = format!("{}.{}", text(*from, *to), text(*start, *end));
        self.push_global(&name)
    }

    /// A class or function by two lines, its module and its name.
    fn global(&mut self) -> io::Result<()> {
        let (module, name) = (self.line()?, self.line()?);
        self.push_global(&format!("{module}.{name}"))
    }

    fn push_global(&mut self, name: &str) -> io::Result<()> {
        let (start, end) = self.keep(name)?;
        self.push(Value::Global(start, end))
    }

    /// A list, tuple or set.
    fn sequence(&mut self, code: u8) -> io::Result<()> {
        let items = match code {
            0x85..=0x87 => {
                let first = self.stack.len().checked_sub(usize::from(code - 0x84));
                let first =
                    first.filter(|first| self.marks.last().is_none_or(|mark| mark <= first));
                self.stack.split_off(first.ok_or_else(underflow)?)
            }
            b't' | b'l' | 0x91 => self.marked()?,
            _ => Vec::new(),
        };
        self.budget.charge(CONTAINER_BYTES + items.len() * ITEM_BYTES)?;
        self.push(Value::List(Box::new(items)))
    }

    pub(super) fn push(&mut self, value: Value) -> io::Result<()> {
        self.budget.charge(VALUE_BYTES)?;
        // The budget has fewer values than 32 bits count.
        let id = u32::try_from(self.values.len()).map_err(|_| broken("too many values"))?;
        self.values.push(value);
        self.stack.push(Id(id));
        Ok(())
    }

    /// Pushes a value that exists.
    fn again(&mut self, id: Id) -> io::Result<()> {
        self.budget.charge(ITEM_BYTES)?;
        self.stack.push(id);
        Ok(())
    }

    fn top(&self) -> io::Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().ok_or_else(underflow)
    }

    pub(super) fn pop(&mut self) -> io::Result<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Drops the value on top of the stack, or the mark.
    fn discard(&mut self) -> io::Result<()> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    /// The values above the last mark.
    fn marked(&mut self) -> io::Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }
}

fn underflow() -> io::Error {
    broken("expected a value on the pickle's stack, got none")
}

/// Keys and values that alternate.
fn pairs(items: &[Id]) -> io::Result<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks();
    if !rest.is_empty() {
        return Err(broken("expected a value for each key, got none for the last"));
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}
