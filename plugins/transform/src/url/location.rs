//! The target of a redirect, from a rendered text. The template decides on scheme, host and delimiters; a value can be a
//! label in front of the template's own host, segments, or part of a parameter, and never leads to another site.

use std::cell::LazyCell;

use super::{MAX_LENGTH, no_dot_segments};
use crate::percent::{self, Keep};
use crate::template::{Origin, pieces};

/// What a value may be where the host stands, although it is more than a label.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    /// Host and port that the request names.
    pub(crate) authority: String,
    /// The same without port.
    pub(crate) host: String,
}

/// The URL, or the path with what follows, that a rendered text means.
///
/// # Errors
/// Why it is no place that a client can be sent to.
pub(crate) fn location(rendered: &str, hosts: impl FnOnce() -> Hosts) -> Result<String, String> {
    let hosts = LazyCell::new(hosts);
    let mut writer = Writer::default();
    for (origin, piece) in pieces(rendered) {
        match (origin, writer.part) {
            (Origin::Template, _) => {
                for c in piece.chars() {
                    writer.word(c)?;
                }
            }
            (_, Part::Authority) => writer.in_authority(origin, piece, &hosts)?,
            (_, Part::Query) => percent::encode(&mut writer.out, piece, Keep::Unreserved),
            (Origin::Url, _) => writer.path(piece),
            (Origin::Value, _) => writer.segment(piece),
        }
    }
    writer.finish()
}

/// Where in a URL the next character stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// Nothing was written that says: a scheme, or the first segment of a relative path.
    #[default]
    Start,
    /// Behind `http:`.
    Scheme,
    /// Behind a first slash of the template: a second one begins an authority.
    Slash,
    /// Behind `//`.
    Authority,
    Path,
    /// The query, or the fragment.
    Query,
}

/// Whose an authority is that ends here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Owner {
    /// The template's, or the request's own.
    #[default]
    Known,
    /// Anybody's: a value, and so many labels of the template behind it, which is fewer than [`LABELS`].
    Open(u8),
    /// The same with a dot of the template behind it.
    Dot(u8),
}

/// Labels of the template that make a host its own: `example.com`.
const LABELS: u8 = 2;

#[derive(Debug, Default)]
struct Writer {
    out: String,
    part: Part,
    owner: Owner,
    /// Bytes before the authority.
    authority: usize,
    /// Bytes before the path.
    path: usize,
}

impl Writer {
    /// A character of the template's own.
    fn word(&mut self, c: char) -> Result<(), String> {
        let next = match (self.part, c) {
            (Part::Start, ':') if matches!(self.out.as_str(), "http" | "https") => Part::Scheme,
            (Part::Start, ':') => return Err("a URL begins with `http:` or `https:`".to_owned()),
            (Part::Start, '/') if self.out.is_empty() => Part::Slash,
            (Part::Scheme, '/') if !self.out.ends_with('/') => Part::Scheme,
            (Part::Scheme | Part::Slash, '/') => Part::Authority,
            (Part::Scheme, _) => return Err("a URL has `//` behind its scheme".to_owned()),
            (Part::Authority, '/' | '?' | '#') => {
                self.end_authority()?;
                if c == '/' { Part::Path } else { Part::Query }
            }
            (Part::Authority, _) => {
                self.name(c)?;
                Part::Authority
            }
            // A path of the request's has brought the first slash.
            (Part::Path, '/') if self.out == "/" => return Ok(()),
            (Part::Query, _) | (_, '?' | '#') => Part::Query,
            (Part::Start, '/') | (Part::Slash | Part::Path, _) => Part::Path,
            (Part::Start, _) => Part::Start,
        };
        percent::encode(&mut self.out, c.encode_utf8(&mut [0; 4]), Keep::Url);
        if next == Part::Authority && self.part != next {
            self.authority = self.out.len();
        }
        self.part = next;
        Ok(())
    }

    /// A character of the template's own in the authority.
    fn name(&mut self, c: char) -> Result<(), String> {
        self.owner = match (self.owner, c) {
            (Owner::Open(_) | Owner::Dot(_), ':' | '@') => return Err(OPEN.to_owned()),
            (Owner::Open(labels), '.') => Owner::Dot(labels),
            (Owner::Dot(labels), c) if c.is_alphanumeric() => match labels + 1 {
                LABELS => Owner::Known,
                labels => Owner::Open(labels),
            },
            (owner, _) => owner,
        };
        Ok(())
    }

    fn end_authority(&mut self) -> Result<(), String> {
        if self.out.len() == self.authority {
            return Err("a URL names a host".to_owned());
        }
        if self.owner != Owner::Known {
            return Err(OPEN.to_owned());
        }
        self.path = self.out.len();
        Ok(())
    }

    /// A value where the host stands: the request's own host, a path that follows it, or a label.
    fn in_authority(&mut self, origin: Origin, text: &str, hosts: &Hosts) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        let whole = self.out.len() == self.authority || self.out.ends_with('.');
        if whole && (text == hosts.host || text == hosts.authority) {
            self.out.push_str(text);
            self.owner = Owner::Known;
            return Ok(());
        }
        if origin == Origin::Url && text.starts_with('/') {
            self.end_authority()?;
            self.part = Part::Path;
            self.path(text);
            return Ok(());
        }
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err("a value in the host is one label".to_owned());
        }
        self.out.push_str(text);
        self.owner = Owner::Open(0);
        Ok(())
    }

    /// A part of the request's path. Two slashes at the front, which would name a host, become one.
    fn path(&mut self, text: &str) {
        let rest = text.trim_start_matches('/');
        let text = match self.out.as_str() {
            "" if rest.len() < text.len() => {
                self.out.push('/');
                self.part = Part::Path;
                rest
            }
            "/" => rest,
            _ => text,
        };
        let keep = match self.part {
            // A colon would make a scheme of it.
            Part::Start => Keep::Unreserved,
            _ => Keep::Path,
        };
        percent::encode(&mut self.out, text, keep);
        self.leave_slash();
    }

    /// A part of one segment.
    fn segment(&mut self, text: &str) {
        percent::encode(&mut self.out, text, Keep::Unreserved);
        self.leave_slash();
    }

    fn leave_slash(&mut self) {
        if self.part == Part::Slash {
            self.part = Part::Path;
        }
    }

    fn finish(mut self) -> Result<String, String> {
        match self.part {
            Part::Authority => self.end_authority()?,
            Part::Scheme => return Err("a URL names a host".to_owned()),
            _ if self.out.is_empty() => return Err("there is no location".to_owned()),
            _ => {}
        }
        if self.out.len() > MAX_LENGTH {
            return Err("the location is longer than 8 KiB".to_owned());
        }
        let path = self.out.get(self.path..).unwrap_or_default();
        no_dot_segments(path.split(['?', '#']).next().unwrap_or_default())?;
        Ok(self.out)
    }
}

/// Why an authority is refused that ends with a value.
const OPEN: &str = "behind a value in the host stand two labels of the template, as in `.example.com`";

#[cfg(test)]
mod tests {
    use super::*;

    /// The location of a text in which `<x>` is a value, `[x]` a part of the request's URL.
    fn to(text: &str) -> Result<String, String> {
        let marks = [('<', "\u{1}"), ('>', "\u{4}"), ('[', "\u{2}"), (']', "\u{4}")];
        let text = marks
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(*from, to));
        location(&text, || Hosts {
            authority: "shop.example:8443".to_owned(),
            host: "shop.example".to_owned(),
        })
    }

    #[test]
    fn the_templates_words_are_delimiters_and_values_are_data() {
        for (text, url) in [
            ("https://example.com/a?b=c#d", "https://example.com/a?b=c#d"),
            ("//example.com/a", "//example.com/a"),
            ("/a b", "/a%20b"),
            ("?a=<b&c>", "?a=b%26c"),
            ("a/<b>", "a/b"),
            ("https://[shop.example][/x%20y]", "https://shop.example/x%20y"),
            (
                "https://[shop.example:8443]/<a/b?c>",
                "https://shop.example:8443/a%2Fb%3Fc",
            ),
            ("<https>://[shop.example]", "https://shop.example"),
            ("https://www.[shop.example]/", "https://www.shop.example/"),
            ("https://<acme>.example.com/", "https://acme.example.com/"),
            ("https://<acme>-eu.example.com/", "https://acme-eu.example.com/"),
            ("/login?return=[/a%20b?x]&x", "/login?return=%2Fa%2520b%3Fx&x"),
            ("/a#<#?&>", "/a#%23%3F%26"),
            ("/new[/a:b]", "/new/a:b"),
        ] {
            assert_eq!(to(text).as_deref(), Ok(url), "{text}");
        }
    }

    #[test]
    fn no_value_leads_to_another_host() {
        for (text, url) in [
            ("[//evil.example/x]", "/evil.example/x"),
            ("[/]/evil.example", "/evil.example"),
            ("/[/evil.example]", "/evil.example"),
            ("/[][//evil.example]", "/evil.example"),
            ("[/][//evil.example]", "/evil.example"),
            ("</>/evil.example", "%2F/evil.example"),
            ("/<\\evil.example>", "/%5Cevil.example"),
            ("[\\evil.example]", "%5Cevil.example"),
            ("<//evil.example>", "%2F%2Fevil.example"),
            ("<javascript:alert(1)>", "javascript%3Aalert%281%29"),
            ("[javascript:alert(1)]", "javascript%3Aalert%281%29"),
        ] {
            assert_eq!(to(text).as_deref(), Ok(url), "{text}");
        }
        for text in [
            "https://example.com<.evil.example>",
            "https://example.com[.evil.example/]",
            "https://example.com<evil>",
            "https://example.com<evil>/",
            "https://example.com[@evil.example/]",
            "https://example.com[:80@evil.example/]",
            "https://<evil.example>/",
            "https://<evil>/",
            "https://<evil>:80/",
            "https://<evil>@example.com/",
            "https://<evil>./",
            "https://<evil>../",
            "https://<evil>.com/",
            "https://<evil>.com./",
            "https://<evil>.<evil>.example/",
            "https://<evil>example.com/",
            "https://<acme>.example.com<x>/",
            "https://example.com[shop.example]/",
            "https://[shop.example]<x>/",
            "<javascript>:alert(1)",
            "javascript:alert(1)",
            "https:/example.com",
            "https:example.com",
            "https://",
            "https:///x",
            "//",
            "",
        ] {
            let url = to(text);
            assert!(url.is_err(), "{text} gives {url:?}");
        }
    }

    #[test]
    fn no_value_leads_out_of_its_segment() {
        for text in [
            "/a/<..>/b",
            "/a/[../b]",
            "https://example.com/<.>",
            "/a/<.>.",
            "[/a/%2e%2e/b]",
        ] {
            assert!(to(text).is_err(), "{text}");
        }
        assert_eq!(to("/a?b=<..>").as_deref(), Ok("/a?b=.."));
    }

    #[test]
    fn a_location_has_a_bound() {
        assert!(to(&format!("/{}", "a".repeat(8 << 10))).is_err());
    }
}
