//! Rendered texts as parts of a URL: a template's own words may be delimiters, values are data and stay within the segment
//! or parameter in which they stand. Knows no template and no exchange.

mod location;

use crate::percent::{self, Keep};
use crate::template::{Origin, pieces};

pub(crate) use location::{Hosts, location};

/// Longest path or URL that is made, in bytes.
pub(crate) const MAX_LENGTH: usize = 8 << 10;

/// The path that a rendered text means. The request's own path and its captures may bring slashes, any other value is part
/// of one segment.
///
/// # Errors
/// Why it is no path that can be sent.
pub(crate) fn path(rendered: &str) -> Result<String, String> {
    let mut out = String::with_capacity(rendered.len());
    for (origin, piece) in pieces(rendered) {
        let keep = match origin {
            Origin::Template | Origin::Url => Keep::Path,
            Origin::Value => Keep::Unreserved,
        };
        percent::encode(&mut out, piece, keep);
    }
    check_path(&out)?;
    Ok(out)
}

/// Whether a path can be sent: it begins with a slash, is not too long, and no segment of it is `.` or `..`, which would
/// lead elsewhere (RFC 3986 section 5.2.4).
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err("a path begins with a slash".to_owned());
    }
    if path.len() > MAX_LENGTH {
        return Err("the path is longer than 8 KiB".to_owned());
    }
    no_dot_segments(path)
}

/// The value of a query parameter, encoded: decoded again it is the rendered text, wherever that came from.
pub(crate) fn query_value(rendered: &str) -> String {
    let mut out = String::with_capacity(rendered.len());
    for (_, piece) in pieces(rendered) {
        percent::encode(&mut out, piece, Keep::Unreserved);
    }
    out
}

/// Refuses segments that are `.` or `..`, escaped or not, with or without a parameter.
fn no_dot_segments(path: &str) -> Result<(), String> {
    let is_dots = |segment: &str| {
        let segment = segment.split(';').next().unwrap_or_default();
        segment.len() <= "%2e%2e".len() && matches!(percent::decode(segment).as_str(), "." | "..")
    };
    if path.split('/').any(is_dots) {
        return Err("the path has a segment `.` or `..`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "\u{1}";
    const URL: &str = "\u{2}";
    const END: &str = "\u{4}";

    #[test]
    fn a_value_is_part_of_one_segment() {
        let text = format!("/tenants/{VALUE}a/b?c#%41{END}/x");
        assert_eq!(path(&text).unwrap(), "/tenants/a%2Fb%3Fc%23%2541/x");
    }

    #[test]
    fn a_part_of_the_requests_path_keeps_slashes_and_escapes() {
        let text = format!("/new{URL}/a%20b/c?x{END}");
        assert_eq!(path(&text).unwrap(), "/new/a%20b/c%3Fx");
    }

    #[test]
    fn no_value_leads_out_of_its_segment() {
        for value in ["..", ".", "%2e%2E", "..;x"] {
            for origin in [VALUE, URL, ""] {
                let text = format!("/tenants/{origin}{value}{END}/data");
                let path = path(&text);
                let harmless = path
                    .as_ref()
                    .is_ok_and(|path| path.contains("%25") || path.contains("%3B"));
                assert!(path.is_err() || harmless, "{origin:?} {value} gives {path:?}");
            }
        }
        assert_eq!(path("/a/.../b..").unwrap(), "/a/.../b..");
    }

    #[test]
    fn a_path_begins_with_a_slash_and_has_a_bound() {
        assert_eq!(path("a").unwrap_err(), "a path begins with a slash");
        assert_eq!(path("").unwrap_err(), "a path begins with a slash");
        assert_eq!(
            path(&"/a".repeat(5_000)).unwrap_err(),
            "the path is longer than 8 KiB"
        );
    }

    #[test]
    fn a_parameter_decodes_to_what_was_rendered() {
        let text = format!("a b&{VALUE}c=d+{END}{URL}/e%20f{END}");
        assert_eq!(query_value(&text), "a%20b%26c%3Dd%2B%2Fe%2520f");
    }
}
