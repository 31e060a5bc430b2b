//! Percent-encoding (RFC 3986 section 2.1) and the decoding of names and values of a query. Knows no URL as a whole.

/// What may stand as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Unreserved characters (RFC 3986 section 2.3): the result is one datum wherever it stands in a URL.
    Unreserved,
    /// What a path is made of: `pchar`, the slash, and escapes that are there already.
    Path,
    /// What a URL is made of, escapes included.
    Url,
}

impl Keep {
    fn keeps(self, byte: u8) -> bool {
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        match self {
            Self::Unreserved => unreserved,
            Self::Path => unreserved || b"/:@!$&'()*+,;=".contains(&byte),
            Self::Url => unreserved || b"/:@!$&'()*+,;=?#[]".contains(&byte),
        }
    }
}

/// Appends a text to a URL; what may not stand there is encoded as the bytes of its UTF-8.
pub(crate) fn encode(out: &mut String, text: &str, keep: Keep) {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let escape = *byte == b'%' && keep != Keep::Unreserved && is_escape(bytes.get(at + 1..));
        if escape || keep.keeps(*byte) {
            out.push(char::from(*byte));
        } else {
            out.push('%');
            out.push(digit(byte >> 4));
            out.push(digit(byte & 0xf));
        }
    }
}

/// The text of a name or value of a query as HTML forms write it (`+` is a space); bytes that are no UTF-8 become U+FFFD.
pub(crate) fn decode_form(text: &str) -> String {
    decode(&text.replace('+', " "))
}

/// The text without escapes. An escape that is none stays; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn decode(text: &str) -> String {
    String::from_utf8_lossy(&portcullis::percent::decode(text)).into_owned()
}

/// Whether what follows a `%` makes an escape of it.
fn is_escape(after: Option<&[u8]>) -> bool {
    matches!(after, Some([high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

fn digit(nibble: u8) -> char {
    char::from(if nibble < 10 {
        b'0' + nibble
    } else {
        b'A' + nibble - 10
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, keep: Keep) -> String {
        let mut out = String::new();
        encode(&mut out, text, keep);
        out
    }

    #[test]
    fn a_datum_keeps_nothing_that_means_something_in_a_url() {
        assert_eq!(
            encoded("a/b?c=d&e#%41 +\u{e9}~", Keep::Unreserved),
            "a%2Fb%3Fc%3Dd%26e%23%2541%20%2B%C3%A9~"
        );
        for byte in 0..=127_u8 {
            let text = char::from(byte).to_string();
            assert_eq!(decode(&encoded(&text, Keep::Unreserved)), text);
        }
    }

    #[test]
    fn a_path_keeps_its_slashes_and_escapes() {
        assert_eq!(
            encoded("/a%20b/c;d=1?x#%4 \"", Keep::Path),
            "/a%20b/c;d=1%3Fx%23%254%20%22"
        );
    }

    #[test]
    fn a_url_keeps_its_delimiters() {
        assert_eq!(
            encoded("https://[::1]:8/a?b=c d#e\r\n", Keep::Url),
            "https://[::1]:8/a?b=c%20d#e%0D%0A"
        );
    }

    #[test]
    fn what_is_no_escape_is_not_decoded() {
        for (text, decoded) in [
            ("a%2fb", "a/b"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%41", "%zzA"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(decode(text), decoded);
        }
        assert_eq!(decode_form("a+b%2B"), "a b+");
    }
}
