//! One form for the path of a request target, so that routing, plugins and the upstream all judge the same
//! text.
//!
//! Refuses to know the query, the host and routes.

use std::borrow::Cow;

/// What to do with a separator that hides inside a segment: encoded `/` (`%2F`), `\` raw or as `%5C`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separators {
    /// Refuse the request. Servers disagree on whether such a character separates segments, so a rule on the
    /// path could be walked around. A dot segment with a parameter (`..;x`), which some servers read as `..`,
    /// is refused for the same reason.
    Refuse,
    /// Leave it, in its encoded form, as part of the segment.
    Keep,
}

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Neither begins with `/` nor is `*`.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits.
    #[error("the path holds a malformed percent escape")]
    Escape,
    /// `%00`; refused whatever [`Separators`] says.
    #[error("the path holds an encoded NUL")]
    Nul,
    /// An encoded slash, or a backslash raw or encoded.
    #[error("the path holds an encoded slash or a backslash")]
    Separator,
    /// A dot segment that carries a parameter, like `..;x`.
    #[error("the path holds a dot segment with a parameter")]
    DotParameter,
    /// A control character, a space, `?` or `#` as such.
    #[error("the path holds a character that no path may hold")]
    Character,
}

/// Normalises a path by RFC 3986 section 6.2.2 (case of escapes, escaped unreserved characters) and 5.2.4
/// (dot segments, escaped ones too). A path that is normal already, which nearly every one is, is scanned once
/// and borrowed.
///
/// - An escape of an unreserved character is decoded, any other keeps its escape with upper-case digits. `%25`
///   is never decoded, so nothing is ever decoded twice.
/// - A character that RFC 3986 does not allow in a path (`"`, `{`, non-ASCII ...) is escaped: raw and escaped
///   text must not be two names of one thing.
/// - Empty segments stay: `/a//b` is not `/a/b` (RFC 3986 gives no leave to merge them).
/// - `*` (of `OPTIONS *`) passes unchanged.
///
/// # Errors
/// [`PathError`] for what has no normal form or, under [`Separators::Refuse`], no safe one.
pub fn normalise(path: &str, separators: Separators) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return if path == "*" {
            Ok(Cow::Borrowed(path))
        } else {
            Err(PathError::NotAbsolute)
        };
    }
    if is_normal(path.as_bytes(), separators) {
        return Ok(Cow::Borrowed(path));
    }
    rewrite(path, separators).map(Cow::Owned)
}

/// Of an absolute path: true only if [`rewrite`] would give it back unchanged.
fn is_normal(path: &[u8], separators: Separators) -> bool {
    let mut rest = path;
    let mut previous = b'/';
    while let Some(at) = rest.iter().position(|&byte| !is_plain(byte)) {
        let Some((before, [byte, tail @ ..])) = rest.split_at_checked(at) else {
            return false;
        };
        previous = before.last().copied().unwrap_or(previous);
        rest = match (byte, tail) {
            (b'.', _) if previous == b'/' && is_dot_segment(tail, separators) => return false,
            (b'.', _) => tail,
            (b'%', [high, low, tail @ ..]) if is_normal_escape(*high, *low, separators) => tail,
            _ => return false,
        };
        previous = *byte;
    }
    true
}

fn is_normal_escape(high: u8, low: u8, separators: Separators) -> bool {
    let upper = |digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F');
    upper(high)
        && upper(low)
        && match escape(high, low) {
            None | Some(0) => false,
            Some(b'/' | b'\\') => separators == Separators::Keep,
            Some(value) => !is_unreserved(value),
        }
}

fn rewrite(path: &str, separators: Separators) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        out.push('/');
        push_segment(&mut out, segment, separators)?;
        let ups = match out.get(start + 1..) {
            Some(".") => 0,
            Some("..") => 1,
            Some(text) if separators == Separators::Refuse && has_dot_parameter(text) => {
                return Err(PathError::DotParameter);
            }
            _ => continue,
        };
        out.truncate(start);
        if ups == 1 {
            out.truncate(out.rfind('/').unwrap_or(0));
        }
        if segments.peek().is_none() {
            out.push('/');
        }
    }
    Ok(out)
}

fn push_segment(out: &mut String, segment: &str, separators: Separators) -> Result<(), PathError> {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let value = match byte {
            b'%' => match (bytes.next(), bytes.next()) {
                (Some(high), Some(low)) => escape(high, low).ok_or(PathError::Escape)?,
                _ => return Err(PathError::Escape),
            },
            b'\\' => byte,
            b'.' => {
                out.push('.');
                continue;
            }
            _ if is_plain(byte) => {
                out.push(char::from(byte));
                continue;
            }
            0x00..=0x20 | 0x7f | b'?' | b'#' => return Err(PathError::Character),
            _ => byte,
        };
        match value {
            0 => return Err(PathError::Nul),
            b'/' | b'\\' if separators == Separators::Refuse => return Err(PathError::Separator),
            _ if is_unreserved(value) => out.push(char::from(value)),
            _ => {
                out.push('%');
                out.push(hex_digit(value >> 4));
                out.push(hex_digit(value & 0x0f));
            }
        }
    }
    Ok(())
}

/// A byte of a normal path that needs no second look: RFC 3986 `pchar` without `.` and `%`, the separator, and
/// the square brackets, which are often sent raw and which no two parties read differently.
#[inline]
fn is_plain(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Looking a byte up costs half of comparing it.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-_~!$&'()*+,;=:@[]";
    let mut rest: &[u8] = plain;
    while let [byte, tail @ ..] = rest {
        table[*byte as usize] = true;
        rest = tail;
    }
    table
};

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Of the text behind a segment's first dot: is the segment one that [`rewrite`] removes or refuses?
fn is_dot_segment(rest: &[u8], separators: Separators) -> bool {
    let rest = rest.strip_prefix(b".").unwrap_or(rest);
    match rest.first() {
        None | Some(b'/') => true,
        Some(b';') => separators == Separators::Refuse,
        _ => false,
    }
}

fn has_dot_parameter(segment: &str) -> bool {
    segment.starts_with(".;") || segment.starts_with("..;")
}

fn escape(high: u8, low: u8) -> Option<u8> {
    Some(hex_value(high)? << 4 | hex_value(low)?)
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn hex_digit(nibble: u8) -> char {
    char::from(if nibble < 10 {
        b'0' + nibble
    } else {
        b'A' + nibble - 10
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keep(path: &str) -> Result<Cow<'_, str>, PathError> {
        normalise(path, Separators::Keep)
    }

    fn refuse(path: &str) -> Result<Cow<'_, str>, PathError> {
        normalise(path, Separators::Refuse)
    }

    #[test]
    fn normal_paths_are_borrowed() {
        for path in [
            "/",
            "*",
            "/v1/orders/7",
            "/a//b/",
            "/a.b/c..d/e.",
            "/.well-known/openid-configuration",
            "/...",
            "/..x/.y",
            "/%C3%A9t%C3%A9",
            "/a%25b",
            "/a%2541",
            "/x;v=1/y",
            "/a:b@c,(d)'!$&*+=[0]~_-",
        ] {
            assert!(
                matches!(refuse(path), Ok(Cow::Borrowed(same)) if same == path),
                "{path}"
            );
        }
        assert!(matches!(keep("/a%2Fb%5Cc"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn paths_take_one_form() {
        for (path, normal) in [
            ("/%61%62c", "/abc"),
            ("/%7euser", "/~user"),
            ("/%2D%5f", "/-_"),
            ("/a%3ab", "/a%3Ab"),
            ("/%c3%a9", "/%C3%A9"),
            ("/\u{e9}", "/%C3%A9"),
            ("/{id}", "/%7Bid%7D"),
            ("/a|b^c`d\"<e>", "/a%7Cb%5Ec%60d%22%3Ce%3E"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/.", "/"),
            ("/..", "/"),
            ("/../..", "/"),
            ("/../../etc/passwd", "/etc/passwd"),
            ("/a//../b", "/a/b"),
            ("/a/b/c/./../../g", "/a/g"),
            ("/..//x", "//x"),
            ("/.x/../y", "/y"),
        ] {
            assert_eq!(refuse(path).as_deref(), Ok(normal), "{path}");
        }
    }

    #[test]
    fn hidden_dot_segments_are_found() {
        for path in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/.%2e/admin",
            "/public/%2E./admin",
            "/%2e/admin",
            "/./admin",
            "/x/y/%2e%2E/../admin",
            "/public/../public/./../%61dmin",
        ] {
            assert_eq!(refuse(path).as_deref(), Ok("/admin"), "{path}");
            assert_eq!(keep(path).as_deref(), Ok("/admin"), "{path}");
        }
    }

    #[test]
    fn attacks_are_refused_or_stay_inert() {
        use PathError::{Character, DotParameter, Escape, NotAbsolute, Nul, Separator};
        for (path, refused, kept) in [
            ("/public/..%2fadmin", Err(Separator), Ok("/public/..%2Fadmin")),
            ("/public/%2e%2e%2fadmin", Err(Separator), Ok("/public/..%2Fadmin")),
            ("/public\\..\\admin", Err(Separator), Ok("/public%5C..%5Cadmin")),
            ("/public/..%5cadmin", Err(Separator), Ok("/public/..%5Cadmin")),
            ("/public/..;/admin", Err(DotParameter), Ok("/public/..;/admin")),
            (
                "/public/%2e%2e;x=1/admin",
                Err(DotParameter),
                Ok("/public/..;x=1/admin"),
            ),
            ("/public/.;/admin", Err(DotParameter), Ok("/public/.;/admin")),
            (
                "/public/%252e%252e/admin",
                Ok("/public/%252e%252e/admin"),
                Ok("/public/%252e%252e/admin"),
            ),
            (
                "/public/%252fadmin",
                Ok("/public/%252fadmin"),
                Ok("/public/%252fadmin"),
            ),
            (
                "/%c0%ae%c0%ae/admin",
                Ok("/%C0%AE%C0%AE/admin"),
                Ok("/%C0%AE%C0%AE/admin"),
            ),
            ("/a%00.jpg", Err(Nul), Err(Nul)),
            ("/a\0", Err(Character), Err(Character)),
            ("/a%", Err(Escape), Err(Escape)),
            ("/a%2", Err(Escape), Err(Escape)),
            ("/a%zz", Err(Escape), Err(Escape)),
            ("/a%2/b", Err(Escape), Err(Escape)),
            ("/a%%32%65", Err(Escape), Err(Escape)),
            ("/%u002e%u002e/admin", Err(Escape), Err(Escape)),
            ("/a%+1", Err(Escape), Err(Escape)),
            ("/a\r\nb", Err(Character), Err(Character)),
            ("/a b", Err(Character), Err(Character)),
            ("/a?b", Err(Character), Err(Character)),
            ("/a#b", Err(Character), Err(Character)),
            ("/a%0d%0ab", Ok("/a%0D%0Ab"), Ok("/a%0D%0Ab")),
            ("", Err(NotAbsolute), Err(NotAbsolute)),
            ("admin", Err(NotAbsolute), Err(NotAbsolute)),
            ("**", Err(NotAbsolute), Err(NotAbsolute)),
            ("../admin", Err(NotAbsolute), Err(NotAbsolute)),
            ("http://x/", Err(NotAbsolute), Err(NotAbsolute)),
        ] {
            assert_eq!(
                refuse(path).as_deref().map_err(|e| *e),
                refused,
                "refuse {path:?}"
            );
            assert_eq!(keep(path).as_deref().map_err(|e| *e), kept, "keep {path:?}");
        }
    }

    fn paths() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/".to_owned()),
            Just(".".to_owned()),
            Just("..".to_owned()),
            Just("%2e".to_owned()),
            Just("%2F".to_owned()),
            Just("%5c".to_owned()),
            Just("%25".to_owned()),
            Just("%00".to_owned()),
            Just(";".to_owned()),
            Just("\\".to_owned()),
            "%[0-9a-fA-F]{2}",
            "[a-z]{1,3}",
            "\\PC{1,2}",
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn any_text_is_survived(path in any::<String>()) {
            refuse(&path).ok();
            keep(&path).ok();
        }

        #[test]
        fn a_normal_path_is_borrowed_and_has_no_dot_segment(path in paths(), keeps in any::<bool>()) {
            let separators = if keeps { Separators::Keep } else { Separators::Refuse };
            if let Ok(normal) = normalise(&path, separators) {
                prop_assert!(normal.starts_with('/'));
                prop_assert!(normal.split('/').all(|segment| segment != "." && segment != ".."), "{}", normal);
                prop_assert!(!normal.contains('\\'));
                let again = normalise(&normal, separators);
                let again_same = matches!(&again, Ok(again) if *again == normal);
                prop_assert!(again_same, "{normal} became {again:?}");
                let borrowed = matches!(&again, Ok(Cow::Borrowed(_)));
                prop_assert!(borrowed, "{}", normal);
            }
        }

        #[test]
        fn refusing_is_never_laxer_than_keeping(path in paths()) {
            if let Ok(refused) = refuse(&path) {
                prop_assert_eq!(keep(&path), Ok(refused));
            }
        }
    }
}
