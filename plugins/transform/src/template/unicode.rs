//! Header values as Unicode text and back. The host hands a value over with one character for each byte; nearly all that
//! are not ASCII are UTF-8. Knows no header by name.

use portcullis::headers;

/// The text of a value: its UTF-8, or one character for each byte where it is none.
pub(crate) fn decode(value: String) -> String {
    if value.is_ascii() {
        return value;
    }
    let bytes = headers::to_bytes(value.clone());
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or(value)
}

/// The value that carries a text as UTF-8; none when no header can: control characters.
pub(crate) fn encode(text: &str) -> Option<String> {
    let value = if text.is_ascii() {
        text.to_owned()
    } else {
        headers::to_text(text.as_bytes())
    };
    headers::is_value(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_text_and_other_bytes_stay() {
        assert_eq!(decode("caf\u{c3}\u{a9}".to_owned()), "caf\u{e9}");
        assert_eq!(decode("caf\u{e9}".to_owned()), "caf\u{e9}");
        assert_eq!(encode("caf\u{e9}").as_deref(), Some("caf\u{c3}\u{a9}"));
        assert_eq!(encode("\u{20ac}").as_deref(), Some("\u{e2}\u{82}\u{ac}"));
    }

    #[test]
    fn control_characters_are_no_value() {
        for text in ["a\r\nb: c", "a\nb", "\0", "\u{7f}"] {
            assert_eq!(encode(text), None, "{text:?}");
        }
    }
}
