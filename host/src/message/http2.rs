//! What a request says differently over HTTP/2, made what the rest of the gateway expects (RFC 9113 section 8.3).
//!
//! Refuses to know streams: framing and the order of pseudo-fields were checked before.

use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Uri};

use super::host::HostError;

/// Joins what was taken apart for the sake of compression, and refuses what contradicts itself. Called before anything
/// reads the fields.
///
/// # Errors
/// [`HostError::Malformed`] when `:authority` and `Host` name different hosts (RFC 9113 section 8.3.1: malformed).
pub fn settle(uri: &Uri, headers: &mut HeaderMap) -> Result<(), HostError> {
    join_cookies(headers);
    match (uri.authority(), headers.get(HOST)) {
        (Some(authority), Some(host))
            if !host
                .as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(HostError::Malformed)
        }
        _ => Ok(()),
    }
}

/// Several `cookie` lines are one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let whole = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]));
    // Bytes that were field values stay one when they are joined.
    if let Ok(whole) = whole {
        headers.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(uri: &str, fields: &[(&str, &str)]) -> Result<HeaderMap, HostError> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = name.parse::<http::HeaderName>().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        settle(&uri.parse().unwrap(), &mut headers).map(|()| headers)
    }

    #[test]
    fn cookie_crumbs_become_one_field() {
        let headers = settled("http://a/", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]).unwrap();
        let cookies: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
        assert_eq!(headers["x"], "y");
        assert_eq!(settled("http://a/", &[("cookie", "a=1")]).unwrap()[COOKIE], "a=1");
    }

    #[test]
    fn a_host_field_must_agree_with_the_authority() {
        assert!(settled("http://a.example:81/", &[("host", "A.example:81")]).is_ok());
        assert!(settled("/", &[("host", "a.example")]).is_ok());
        for host in ["a.example", "b.example:81", ""] {
            let refused = settled("http://a.example:81/", &[("host", host)]);
            assert_eq!(refused, Err(HostError::Malformed), "{host}");
        }
    }
}
