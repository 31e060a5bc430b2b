//! Name and value pairs in bytes from the network: the `Cookie` field and the query. Nothing in them is malformed, only
//! without meaning.

use std::borrow::Cow;

use portcullis::{headers, percent};

/// Bytes as text: UTF-8, or else each byte as one character.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(headers::to_text(bytes)),
    }
}

/// The cookies of a `Cookie` field, in order: names and values as they came, without the white space around a pair
/// (RFC 6265 section 5.4, read as leniently as servers do).
pub(crate) fn cookies(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    field.split(|byte| *byte == b';').filter_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(equals)?;
        Some((
            name.trim_ascii_end(),
            value.strip_prefix(b"=")?.trim_ascii_start(),
        ))
    })
}

/// The parameters of a query, in order: percent-decoded, `+` as a space (the URL standard's
/// `application/x-www-form-urlencoded`, as the gateway's route table reads it).
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

/// The bytes of a name or value, a `+` as a space.
fn decoded(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        return Cow::Owned(percent::decode(&text.replace('+', " ")).into_owned());
    }
    percent::decode(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts<T: AsRef<[u8]>>(pairs: impl Iterator<Item = (T, T)>) -> Vec<(String, String)> {
        let text = |bytes: &T| String::from_utf8_lossy(bytes.as_ref()).into_owned();
        pairs.map(|(name, value)| (text(&name), text(&value))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn cookies_are_read_as_they_are_sent() {
        let field = b"a=1; b=x=y;c = 3 ;; lone; =no-name; d=\"q\"; a=2";
        let expected = [
            pair("a", "1"),
            pair("b", "x=y"),
            pair("c", "3"),
            pair("", "no-name"),
            pair("d", "\"q\""),
            pair("a", "2"),
        ];
        assert_eq!(texts(cookies(field)), expected);
    }

    #[test]
    fn parameters_are_decoded() {
        let query = "a=1&b=%41+%2b&c&%63=&x=%zz%4&&=v";
        let expected = [
            pair("a", "1"),
            pair("b", "A +"),
            pair("c", ""),
            pair("c", ""),
            pair("x", "%zz%4"),
            pair("", "v"),
        ];
        assert_eq!(texts(parameters(query)), expected);
    }

    proptest! {
        #[test]
        fn nothing_is_malformed(field in prop::collection::vec(any::<u8>(), 0..100), query in ".{0,60}") {
            cookies(&field).count();
            parameters(&query).count();
        }
    }
}
