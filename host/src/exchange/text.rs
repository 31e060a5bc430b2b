//! Field values as text: each byte is one code point U+0000 to U+00FF (isomorphic encoding of the Fetch
//! standard), so that every value survives the trip and ASCII stays what it is.

use bytes::Bytes;

/// Bytes to text.
#[must_use]
pub fn to_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.to_owned(),
        _ => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// Text to bytes; none if a character is above U+00FF.
#[must_use]
pub fn from_text(text: &str) -> Option<Bytes> {
    if text.is_ascii() {
        return Some(Bytes::copy_from_slice(text.as_bytes()));
    }
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect::<Option<Vec<u8>>>()
        .map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_byte_survives_the_trip(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            prop_assert_eq!(from_text(&to_text(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn characters_above_a_byte_are_refused() {
        assert_eq!(from_text("€"), None);
        assert_eq!(from_text("é").as_deref(), Some(&[0xe9][..]));
    }
}
