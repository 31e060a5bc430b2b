//! Header fields as the host hands them over in one block, and the text form of values that are no ASCII.
//! Knows no exchange.

/// The header fields of a request or response, fetched in one call: cheaper than one call per field from the
/// third field on. It is a copy; later edits do not show in it.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    block: Vec<u8>,
}

impl Headers {
    /// From the host's lines `name: value` CR LF.
    pub(crate) fn from_block(block: Vec<u8>) -> Self {
        Self { block }
    }

    /// All fields in order: the name in lower case, the value as bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.block.split(|byte| *byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, rest) = line.split_at_checked(colon)?;
            let value = rest.strip_prefix(b": ").or_else(|| rest.strip_prefix(b":"))?;
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }

    /// The first value of a field; `name` in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find_map(|(field, value)| (field == name).then_some(value))
    }
}

/// Whether `name` can be the name of a header field: a token (RFC 9110 section 5.6.2) without upper-case letters.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| {
            matches!(byte,
                b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.'
                | b'^' | b'_' | b'`' | b'|' | b'~')
        })
}

/// Whether `value` can be the value of a header field (RFC 9110 section 5.5): no control character but the tab, no
/// space at either end, and each character stands for one byte.
#[must_use]
pub fn is_value(value: &str) -> bool {
    let edge = |c: char| c == ' ' || c == '\t';
    !value.starts_with(edge)
        && !value.ends_with(edge)
        && value
            .chars()
            .all(|c| c == '\t' || (c >= ' ' && c != '\u{7f}' && c <= '\u{ff}'))
}

/// The text form of a value that is bytes: each byte is one character, U+0000 to U+00FF (the isomorphic encoding of
/// the Fetch standard).
#[must_use]
pub fn to_text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The bytes that a text value stands for; none when a character is beyond U+00FF.
#[must_use]
pub fn to_bytes(text: String) -> Option<Vec<u8>> {
    if text.is_ascii() {
        return Some(text.into_bytes());
    }
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// The weight of an element of `Accept` or one of its kin by its parameters, `q` among them (RFC 9110 section 12.4.2), in
/// thousandths; 1000 without one. None when it is no weight.
#[must_use]
pub fn weight<'a>(parameters: impl IntoIterator<Item = &'a str>) -> Option<u16> {
    let mut weight = 1000;
    for parameter in parameters {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("q")
        {
            weight = thousandths(value.trim())?;
        }
    }
    Some(weight)
}

/// A `qvalue` in thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    if digits.len() > 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded = digits.bytes().chain(*b"000").take(3);
    let fraction = padded.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match (whole, fraction) {
        ("0", fraction) => Some(fraction),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_its_fields_in_order() {
        let headers = Headers::from_block(b"a: 1\r\nb: x:y\r\nempty: \r\na: \xe9\r\n".to_vec());
        let all: Vec<_> = headers.iter().collect();
        let expected: [(&str, &[u8]); 4] = [("a", b"1"), ("b", b"x:y"), ("empty", b""), ("a", b"\xe9")];
        assert_eq!(all, expected);
        assert_eq!(headers.get("a"), Some(b"1".as_slice()));
        assert_eq!(headers.get("missing"), None);
    }

    #[test]
    fn text_and_bytes_round_trip() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(to_bytes(to_text(&bytes)), Some(bytes));
        assert_eq!(to_bytes("\u{100}".to_owned()), None);
    }

    #[test]
    fn names_are_lower_case_tokens() {
        assert!(is_name("x-api-key"));
        for bad in ["", "X-Api-Key", "a b", "a:b", "a\r\n", "é"] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn values_hold_no_control_characters() {
        for good in ["", "a b", "caf\u{e9}", "a\tb"] {
            assert!(is_value(good), "{good:?}");
        }
        for bad in [" a", "a\t", "a\r\nb: c", "\0", "\u{7f}", "\u{20ac}"] {
            assert!(!is_value(bad), "{bad:?}");
        }
    }

    #[test]
    fn weights_are_in_thousandths() {
        for (text, weight) in [
            ("0", 0),
            ("1", 1000),
            ("0.", 0),
            ("0.5", 500),
            ("0.05", 50),
            ("0.123", 123),
            ("1.000", 1000),
        ] {
            assert_eq!(thousandths(text), Some(weight), "{text}");
        }
        assert_eq!(weight(["level=1", " Q = 0.5 ", "q"]), Some(500));
        assert_eq!(weight([]), Some(1000));
        assert_eq!(weight(["q=2"]), None);
    }
}
