//! Many edits of header fields, handed to the host in one call. Knows no exchange.

use crate::{Problem, headers, number};

/// Fields to set and to add, all or none, in one call: cheaper than a call per field from the second field on. What is the
/// same for every exchange can be written once, and copied by `clone_from` into edits that keep their memory.
///
/// ```
/// use portcullis::{FieldEdits, FieldName};
///
/// let age = FieldName::new("age")?;
/// let mut edits = FieldEdits::new();
/// edits.set("x-cache", "hit").append("vary", "accept");
/// edits.set_with(&age, |value| value.push_number(12));
/// # Ok::<(), portcullis::Problem>(())
/// ```
#[derive(Debug, Default)]
pub struct FieldEdits {
    set: String,
    append: String,
    bad: Option<String>,
}

/// The name of a field that is edited at every request: it is checked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldName {
    /// With the colon that ends it in a line.
    line: String,
}

impl FieldName {
    /// A name in lower case.
    ///
    /// # Errors
    /// [`Problem::Invalid`] when no field can have it.
    pub fn new(name: &str) -> Result<Self, Problem> {
        if headers::is_name(name) {
            Ok(Self {
                line: format!("{name}:"),
            })
        } else {
            Err(refused(name))
        }
    }
}

/// A value that is being written.
#[derive(Debug)]
pub struct FieldText<'a> {
    text: &'a mut String,
    is_one_line: bool,
}

impl<'a> FieldText<'a> {
    /// One that is written at the end of `text`.
    pub fn new(text: &'a mut String) -> Self {
        Self {
            text,
            is_one_line: true,
        }
    }

    /// Appends text.
    pub fn push(&mut self, text: &str) {
        self.is_one_line &= !text.bytes().any(|byte| matches!(byte, b'\r' | b'\n'));
        self.text.push_str(text);
    }

    /// Appends a number in decimal digits, without the machinery of formatting.
    pub fn push_number(&mut self, number: u64) {
        number::push(self.text, number);
    }
}

impl Clone for FieldEdits {
    fn clone(&self) -> Self {
        Self {
            set: self.set.clone(),
            append: self.append.clone(),
            bad: self.bad.clone(),
        }
    }

    /// Takes no new memory where there is enough.
    fn clone_from(&mut self, source: &Self) {
        self.set.clone_from(&source.set);
        self.append.clone_from(&source.append);
        self.bad.clone_from(&source.bad);
    }
}

impl FieldEdits {
    /// No edits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a field and removes what stood under that name. What no field can be is told when the edits are made.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match FieldName::new(&name.to_ascii_lowercase()) {
            Ok(name) => self.set_with(&name, |text| text.push(value)),
            Err(_) => self.refuse(name),
        }
    }

    /// Adds a field beside those of the same name, likewise.
    pub fn append(&mut self, name: &str, value: &str) -> &mut Self {
        match FieldName::new(&name.to_ascii_lowercase()) {
            Ok(name) => self.append_with(&name, |text| text.push(value)),
            Err(_) => self.refuse(name),
        }
    }

    /// [`set`](Self::set) with a value that `write` writes.
    pub fn set_with(&mut self, name: &FieldName, write: impl FnOnce(&mut FieldText<'_>)) -> &mut Self {
        match line(&mut self.set, name, write) {
            Line::One => self,
            Line::Several => self.refuse(&name.line),
        }
    }

    /// [`append`](Self::append), likewise.
    pub fn append_with(&mut self, name: &FieldName, write: impl FnOnce(&mut FieldText<'_>)) -> &mut Self {
        match line(&mut self.append, name, write) {
            Line::One => self,
            Line::Several => self.refuse(&name.line),
        }
    }

    /// There is nothing to edit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.append.is_empty() && self.bad.is_none()
    }

    /// The two blocks of the contract.
    pub(crate) fn blocks(&self) -> Result<(Block<'_>, Block<'_>), Problem> {
        match &self.bad {
            Some(name) => Err(refused(name)),
            None => Ok((block(&self.set)?, block(&self.append)?)),
        }
    }

    fn refuse(&mut self, name: &str) -> &mut Self {
        self.bad.get_or_insert_with(|| name.to_owned());
        self
    }
}

fn refused(name: &str) -> Problem {
    Problem::Invalid(format!(
        "`{}`: no field has this name or value",
        name.escape_debug()
    ))
}

/// Lines of fields as bytes.
pub(crate) type Block<'a> = std::borrow::Cow<'a, [u8]>;

/// What was written could be taken for so many lines.
enum Line {
    One,
    Several,
}

fn line(block: &mut String, name: &FieldName, write: impl FnOnce(&mut FieldText<'_>)) -> Line {
    block.push_str(&name.line);
    let mut value = FieldText::new(block);
    write(&mut value);
    let written = if value.is_one_line {
        Line::One
    } else {
        Line::Several
    };
    block.push_str("\r\n");
    written
}

/// Each character is one byte (see [`headers::to_bytes`]).
fn block(text: &str) -> Result<Block<'_>, Problem> {
    if text.is_ascii() {
        return Ok(text.as_bytes().into());
    }
    let bytes = headers::to_bytes(text.to_owned());
    bytes
        .map(Into::into)
        .ok_or_else(|| Problem::Invalid("not a field value (control character, or above U+00FF)".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_lines_of_two_blocks() {
        let mut edits = FieldEdits::new();
        assert!(edits.is_empty());
        let c = FieldName::new("c").unwrap();
        edits.set("A", "1").append("b", "caf\u{e9}").set_with(&c, |_| {});
        let (set, append) = edits.blocks().unwrap();
        assert_eq!(&*set, b"a:1\r\nc:\r\n");
        assert_eq!(&*append, b"b:caf\xe9\r\n");
    }

    #[test]
    fn what_could_be_taken_for_two_fields_is_refused() {
        for (name, value) in [
            ("a", "1\r\nb: 2"),
            ("a", "1\nb: 2"),
            ("a:b", "1"),
            ("a\n", "1"),
            ("a", "\u{100}"),
        ] {
            for edits in [
                FieldEdits::new().set(name, value),
                FieldEdits::new().append(name, value),
            ] {
                assert!(
                    matches!(edits.blocks(), Err(Problem::Invalid(_))),
                    "{name:?} {value:?}"
                );
            }
        }
    }
}
