//! A reader of the one kind of pickle that `torch.save` writes for a dictionary of tensors, lists, texts and numbers.
//!
//! A pickle is a program. Python's reader would call whatever it names; this one calls nothing: it knows two names,
//! torch's `_rebuild_tensor_v2` and `OrderedDict`, makes plain values of them, and refuses every other name and every
//! instruction that such a file does not need. Source of the instructions: CPython, `Lib/pickletools.py`.

use std::rc::Rc;

/// A value in the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Nothing,
    Number(i64),
    Text(Rc<str>),
    Tuple(Rc<[Value]>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// A type or function, `module name`.
    Name(Rc<str>),
    Tensor(Tensor),
}

/// Where a tensor's numbers are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    /// torch's type of the numbers, such as `FloatStorage`.
    pub(crate) storage: Rc<str>,
    /// The file's name in the archive.
    pub(crate) key: Rc<str>,
    /// Numbers before the first.
    pub(crate) offset: u64,
    pub(crate) shape: Vec<u64>,
    pub(crate) stride: Vec<u64>,
}

/// Places that are remembered; a file of four tensors has some fifty.
const MOST_REMEMBERED: usize = 100_000;

#[derive(Debug, Default)]
struct Machine {
    stack: Vec<Value>,
    marks: Vec<usize>,
    remembered: std::collections::HashMap<u32, Value>,
}

/// The value of a pickle; else what is wrong with it.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
    let mut machine = Machine::default();
    let mut rest = Bytes(bytes);
    loop {
        match rest.byte()? {
            b'.' => return machine.pop(),
            code => machine.step(code, &mut rest)?,
        }
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or("it ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.take(1).map(|it| it[0])
    }

    /// A little-endian number of at most eight bytes.
    fn number(&mut self, n: usize) -> Result<u64, String> {
        let taken = self.take(n)?;
        Ok(taken
            .iter()
            .rev()
            .fold(0, |all, it| (all << 8) | u64::from(*it)))
    }

    fn text(&mut self, n: u64) -> Result<Value, String> {
        let n = usize::try_from(n).map_err(|_| "it ends early")?;
        let text = std::str::from_utf8(self.take(n)?).map_err(|error| error.to_string())?;
        Ok(Value::Text(text.into()))
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let end = self
            .0
            .iter()
            .position(|it| *it == b'\n')
            .ok_or("it ends early")?;
        let line = self.take(end)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|error| error.to_string())
    }
}

impl Machine {
    fn step(&mut self, code: u8, rest: &mut Bytes<'_>) -> Result<(), String> {
        match code {
            0x80 => {
                rest.byte()?;
            }
            0x95 => {
                rest.number(8)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b'}' => self.stack.push(Value::Dict(Vec::new())),
            b']' => self.stack.push(Value::List(Vec::new())),
            b')' => self.stack.push(Value::Tuple([].into())),
            b'N' => self.stack.push(Value::Nothing),
            0x88 => self.stack.push(Value::Number(1)),
            0x89 => self.stack.push(Value::Number(0)),
            b'K' => self.push_number(rest, 1)?,
            b'M' => self.push_number(rest, 2)?,
            b'J' => {
                let number = rest.number(4)? as u32;
                self.stack.push(Value::Number(number.cast_signed().into()));
            }
            0x8a => {
                let length = rest.byte()?.into();
                if length > 7 {
                    return Err("a number has more than seven bytes".to_owned());
                }
                self.push_number(rest, length)?;
            }
            b'X' => {
                let length = rest.number(4)?;
                let text = rest.text(length)?;
                self.stack.push(text);
            }
            0x8c => {
                let length = rest.byte()?;
                let text = rest.text(length.into())?;
                self.stack.push(text);
            }
            b'q' => self.remember(rest.byte()?.into())?,
            b'r' => self.remember(rest.number(4)? as u32)?,
            0x94 => self.remember(self.remembered.len() as u32)?,
            b'h' => self.recall(rest.byte()?.into())?,
            b'j' => self.recall(rest.number(4)? as u32)?,
            _ => return self.combine(code, rest),
        }
        Ok(())
    }

    /// What makes one value of several.
    fn combine(&mut self, code: u8, rest: &mut Bytes<'_>) -> Result<(), String> {
        let made = match code {
            b'c' => name(rest.line()?, rest.line()?)?,
            0x93 => {
                let (second, first) = (self.pop()?, self.pop()?);
                match (first, second) {
                    (Value::Text(first), Value::Text(second)) => name(&first, &second)?,
                    _ => return Err("a name is no text".to_owned()),
                }
            }
            b't' => Value::Tuple(self.since_mark()?.into()),
            0x85..=0x87 => {
                let values = self.last((code - 0x84).into())?;
                Value::Tuple(values.into())
            }
            b'Q' => match self.pop()? {
                storage @ Value::Tuple(_) => storage,
                _ => return Err("a storage is no tuple".to_owned()),
            },
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                call(&function, &arguments)?
            }
            b'e' | b'a' | b'u' | b's' => return self.add(code),
            other => {
                return Err(format!(
                    "it has the instruction 0x{other:02x}, which no data set needs"
                ));
            }
        };
        self.stack.push(made);
        Ok(())
    }

    /// Adds to the list or dictionary on the stack what comes after it.
    fn add(&mut self, code: u8) -> Result<(), String> {
        let values = match code {
            b'a' => self.last(1)?,
            b's' => self.last(2)?,
            _ => self.since_mark()?,
        };
        match (code, self.stack.last_mut()) {
            (b'e' | b'a', Some(Value::List(list))) => list.extend(values),
            (b'u' | b's', Some(Value::Dict(dict))) => {
                let mut values = values.into_iter();
                while let (Some(key), Some(value)) = (values.next(), values.next()) {
                    dict.push((key, value));
                }
            }
            _ => return Err("it adds to what is no list or dictionary".to_owned()),
        }
        Ok(())
    }

    fn push_number(&mut self, rest: &mut Bytes<'_>, length: usize) -> Result<(), String> {
        let number = i64::try_from(rest.number(length)?).map_err(|error| error.to_string())?;
        self.stack.push(Value::Number(number));
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("it takes a value that is not there".to_owned());
        }
        self.stack
            .pop()
            .ok_or_else(|| "it takes a value that is not there".to_owned())
    }

    fn last(&mut self, n: usize) -> Result<Vec<Value>, String> {
        let mut values = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        values.reverse();
        Ok(values)
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().ok_or("it ends what did not begin")?;
        Ok(self.stack.split_off(mark))
    }

    /// Only what costs nothing to have twice can be recalled: a list of lists of lists would grow without end.
    fn remember(&mut self, place: u32) -> Result<(), String> {
        if self.remembered.len() >= MOST_REMEMBERED {
            return Err(format!("it remembers more than {MOST_REMEMBERED} values"));
        }
        if let Some(value @ (Value::Text(_) | Value::Name(_) | Value::Tuple(_))) = self.stack.last()
        {
            self.remembered.insert(place, value.clone());
        } else {
            self.remembered.insert(place, Value::Nothing);
        }
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), String> {
        match self.remembered.get(&place) {
            Some(Value::Nothing) | None => {
                Err("it recalls what no data set needs twice".to_owned())
            }
            Some(value) => {
                self.stack.push(value.clone());
                Ok(())
            }
        }
    }
}

const REBUILD: &str = "torch._utils _rebuild_tensor_v2";
const ORDERED: &str = "collections OrderedDict";

fn name(module: &str, name: &str) -> Result<Value, String> {
    let is_storage = module == "torch" && name.ends_with("Storage");
    let whole = format!("{module} {name}");
    if is_storage || whole == REBUILD || whole == ORDERED {
        return Ok(Value::Name(whole.into()));
    }
    let shown = annapurna_contract::text::escaped(&whole, 120);
    Err(format!(
        "it would have Python use `{shown}`, which no data set needs"
    ))
}

fn call(function: &Value, arguments: &Value) -> Result<Value, String> {
    match (function, arguments) {
        (Value::Name(name), Value::Tuple(arguments)) if **name == *REBUILD => tensor(arguments),
        (Value::Name(name), Value::Tuple(arguments))
            if **name == *ORDERED && arguments.is_empty() =>
        {
            Ok(Value::Dict(Vec::new()))
        }
        _ => Err("it would have Python call what no data set needs".to_owned()),
    }
}

/// `(("storage", type, key, device, numbers), offset, shape, stride, …)`.
fn tensor(arguments: &[Value]) -> Result<Value, String> {
    let wrong = || "a tensor is not described as torch does".to_owned();
    let [
        Value::Tuple(storage),
        Value::Number(offset),
        shape,
        stride,
        ..,
    ] = arguments
    else {
        return Err(wrong());
    };
    let [Value::Text(word), Value::Name(kind), Value::Text(key), ..] = &**storage else {
        return Err(wrong());
    };
    if **word != *"storage" {
        return Err(wrong());
    }
    let numbers = |value: &Value| -> Result<Vec<u64>, String> {
        let Value::Tuple(values) = value else {
            return Err(wrong());
        };
        let number = |value: &Value| match value {
            Value::Number(number) => u64::try_from(*number).map_err(|_| wrong()),
            _ => Err(wrong()),
        };
        values.iter().map(number).collect()
    };
    Ok(Value::Tensor(Tensor {
        storage: kind.clone(),
        key: key.clone(),
        offset: u64::try_from(*offset).map_err(|_| wrong())?,
        shape: numbers(shape)?,
        stride: numbers(stride)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pickle_that_would_run_something_is_refused_with_its_name() {
        // Of `pickle.dumps` of an object whose `__reduce__` gives `os.system, ("id",)`.
        for program in [
            &b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."[..],
            b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
            b"\x80\x02cbuiltins\neval\n.",
        ] {
            let problem = read(program).unwrap_err();
            assert!(problem.contains("would have Python use"), "{problem}");
        }
        for instruction in *b"iob\x81\x82PVIF" {
            let problem = read(&[0x80, 2, b'}', instruction, b'\n', b'.']).unwrap_err();
            assert!(problem.contains("no data set needs"), "{problem}");
        }
    }

    #[test]
    fn damage_and_tricks_with_the_stack_are_refused() {
        for bytes in [
            &b""[..],
            b"\x80",
            b".",
            b"t.",
            b"(.",
            b"}(\x85.",
            b"X\xff\xff\xff\xff.",
            b"]q\x00h\x00.",
            b"h\x07.",
            b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
            b"ctorch._utils\n_rebuild_tensor_v2\nK\x01R.",
            b"Q.",
            b"K\x01K\x02K\x03s.",
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn plain_values_are_read() {
        let dict = read(b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x07X\x01\x00\x00\x00b](X\x01\x00\x00\x00cNeu.");
        let Value::Dict(dict) = dict.unwrap() else {
            panic!()
        };
        assert_eq!(dict[0], (Value::Text("a".into()), Value::Number(7)));
        let list = Value::List(vec![Value::Text("c".into()), Value::Nothing]);
        assert_eq!(dict[1], (Value::Text("b".into()), list));
    }
}
