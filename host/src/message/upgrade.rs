//! Lists of protocols as `Upgrade` has them (RFC 9110 section 7.8).
//!
//! Refuses to know what is spoken after the switch.

use http::HeaderValue;

/// Protocols that no upgrade may lead to: what is spoken behind the switch would be HTTP again, requests that no
/// route, plugin or log has seen.
const NEVER: [&str; 5] = ["h2c", "h2", "http", "https", "tls"];

/// Why a name cannot be one of a protocol to go over to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// No token.
    #[error("a protocol is a token such as `websocket`")]
    Token,
    /// One of HTTP or TLS.
    #[error("behind an upgrade to HTTP or TLS requests would pass that no route has seen")]
    Hidden,
}

/// Whether `name` may be allowed: a token without a version, not one of HTTP or TLS.
///
/// # Errors
/// [`ProtocolError`].
pub fn check(name: &str) -> Result<(), ProtocolError> {
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(ProtocolError::Token);
    }
    if NEVER.iter().any(|never| never.eq_ignore_ascii_case(name)) {
        return Err(ProtocolError::Hidden);
    }
    Ok(())
}

/// What is left of the protocols that a client asked for when only those of `names` are allowed, in the client's
/// order; none when none is. A version (`name/version`) does not matter.
#[must_use]
pub fn allowed(asked: &HeaderValue, names: &[Box<str>]) -> Option<HeaderValue> {
    let is_allowed = |protocol: &&[u8]| {
        let name = name(protocol);
        names
            .iter()
            .any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(name))
    };
    if protocols(asked).all(|protocol| is_allowed(&protocol)) {
        return protocols(asked).next().map(|_| asked.clone());
    }
    let left: Vec<&[u8]> = protocols(asked).filter(is_allowed).collect();
    if left.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&left.join(&b", "[..])).ok()
}

/// Whether `asked` names the protocol `name`, in any version.
#[must_use]
pub fn names(asked: &HeaderValue, wanted: &str) -> bool {
    protocols(asked).any(|protocol| name(protocol).eq_ignore_ascii_case(wanted.as_bytes()))
}

/// The name of the protocol that `asked` names first, without its version.
#[must_use]
pub fn first(asked: &HeaderValue) -> Option<&[u8]> {
    protocols(asked).map(name).find(|name| !name.is_empty())
}

/// Whether a 101 that names `given` answers a request that named `asked`: it names at least one protocol, and each was
/// asked for.
#[must_use]
pub fn answers(given: &HeaderValue, asked: &HeaderValue) -> bool {
    let mut given = protocols(given).peekable();
    given.peek().is_some()
        && given.all(|given| protocols(asked).any(|asked| name(asked).eq_ignore_ascii_case(name(given))))
}

fn protocols(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|protocol| !protocol.is_empty())
}

fn name(protocol: &[u8]) -> &[u8] {
    protocol.split(|&byte| byte == b'/').next().unwrap_or_default()
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    fn left(asked: &str) -> Option<String> {
        let names = ["websocket".into(), "x".into()];
        allowed(&value(asked), &names).map(|left| left.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_allowed_protocols_are_left_in_their_order() {
        for (asked, want) in [
            ("websocket", Some("websocket")),
            ("WebSocket", Some("WebSocket")),
            ("websocket/13", Some("websocket/13")),
            ("h2c, websocket", Some("websocket")),
            ("x, h2c ,websocket", Some("x, websocket")),
            ("h2c", None),
            ("", None),
            (",", None),
            ("websockets", None),
        ] {
            assert_eq!(left(asked).as_deref(), want, "{asked}");
        }
        assert_eq!(allowed(&value("websocket"), &[]), None);
    }

    #[test]
    fn an_answer_names_only_what_was_asked_for() {
        for (given, asked, want) in [
            ("websocket", "websocket", true),
            ("WEBSOCKET", "websocket", true),
            ("websocket", "x, websocket/13", true),
            ("x, websocket", "websocket, x", true),
            ("h2c", "websocket", false),
            ("websocket, h2c", "websocket", false),
            ("", "websocket", false),
        ] {
            assert_eq!(answers(&value(given), &value(asked)), want, "{given} to {asked}");
        }
        assert_eq!(first(&value(" , x/1, websocket")), Some(&b"x"[..]));
        assert_eq!(first(&value("/1,")), None);
        assert!(names(&value("x, WebSocket/1"), "websocket") && !names(&value("x"), "websocket"));
    }

    #[test]
    fn http_and_what_is_no_token_cannot_be_allowed() {
        assert_eq!(check("websocket"), Ok(()));
        assert_eq!(check("H2C"), Err(ProtocolError::Hidden));
        assert_eq!(check("tls"), Err(ProtocolError::Hidden));
        for name in ["", "a b", "a/1", "a,b"] {
            assert_eq!(check(name), Err(ProtocolError::Token), "{name:?}");
        }
    }
}
