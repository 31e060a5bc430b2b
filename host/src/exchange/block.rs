//! Fields in one block: lines `name: value` CR LF, as a head has them on the wire. It refuses to know where they go.

use bytes::Bytes;
use http::header::HeaderValue;
use memchr::memchr;

use super::EditError;

/// The lines of a block. Values are slices of it: nothing is copied.
pub(super) struct Lines<'a> {
    block: &'a Bytes,
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    pub(super) fn of(block: &'a Bytes) -> Self {
        Self { block, rest: block }
    }
}

impl<'a> Iterator for Lines<'a> {
    /// A name as it stands there, and its value.
    type Item = Result<(&'a [u8], HeaderValue), EditError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((line, rest)) = split(self.rest, b'\n') else {
            self.rest = &[];
            return Some(Err(EditError::Invalid("the last line has no end".to_owned())));
        };
        self.rest = rest;
        Some(field(self.block, line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

/// The name and value of a line, which is a part of the block.
fn field<'a>(block: &Bytes, line: &'a [u8]) -> Result<(&'a [u8], HeaderValue), EditError> {
    let (name, value) = split(line, b':')
        .ok_or_else(|| EditError::Invalid(format!("`{}` is not a field line", line.escape_ascii())))?;
    // The space around it does not belong to a value (RFC 9110, section 5.5).
    let value = HeaderValue::from_maybe_shared(block.slice_ref(value.trim_ascii()))
        .map_err(|_| EditError::Invalid("not a field value (control character)".to_owned()))?;
    Ok((name, value))
}

/// What stands before the first such byte and after it.
fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr(at, text)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(block: &'static [u8]) -> Result<Vec<(String, Vec<u8>)>, EditError> {
        let block = Bytes::from_static(block);
        let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        Lines::of(&block)
            .map(|field| field.map(|(name, value)| (text(name), value.as_bytes().to_vec())))
            .collect()
    }

    #[test]
    fn lines_are_fields() {
        let field = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
        assert_eq!(read(b""), Ok(vec![]));
        assert_eq!(
            read(b"A: 1\r\nb:x:y \r\nempty:\r\na: \xe9\n"),
            Ok(vec![
                field("A", b"1"),
                field("b", b"x:y"),
                field("empty", b""),
                field("a", b"\xe9")
            ])
        );
    }

    #[test]
    fn what_is_no_field_line_is_refused() {
        for block in [&b"a: 1"[..], b"a 1\r\n", b"a: 1\r2\r\n", b"a: \0\r\n", b"\r\n"] {
            assert!(read(block).is_err(), "{}", block.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn any_block_is_fields_or_an_error(block: Vec<u8>) {
            let lines = block.iter().filter(|byte| **byte == b'\n').count() + 1;
            prop_assert!(Lines::of(&Bytes::from(block)).count() <= lines);
        }
    }
}
