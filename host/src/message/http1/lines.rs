//! The lines of a head or trailer section (RFC 9112 sections 2.2 and 5): where the section ends, and one line as
//! name and value. It refuses to know what a field means.

use http::HeaderName;

/// A search for the empty line that ends a section. It remembers how far it has come, so that a section that arrives
/// byte by byte is read once, and where the first `KEPT` lines end, so that they are not searched again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines<const KEPT: usize> {
    searched: usize,
    line: usize,
    count: usize,
    ends: [u32; KEPT],
    taken: LineEnds,
}

/// What ends a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnds {
    /// CR and LF.
    Crlf,
    /// LF, with or without a CR before it.
    Any,
}

/// A line that ends in a bare LF. RFC 9112 section 2.2 lets a recipient accept it; two parties that do and do not
/// see different messages, so it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BareLf;

impl<const KEPT: usize> Default for Lines<KEPT> {
    fn default() -> Self {
        Self {
            searched: 0,
            line: 0,
            count: 0,
            ends: [0; KEPT],
            taken: LineEnds::Crlf,
        }
    }
}

impl<const KEPT: usize> Lines<KEPT> {
    /// A search that takes a bare LF for a line end, as RFC 9112 section 2.2 allows for heads.
    pub(crate) fn lenient() -> Self {
        Self {
            taken: LineEnds::Any,
            ..Self::default()
        }
    }

    /// The length of the section with its empty line, once it is complete in `buffer`. `buffer` must begin where it
    /// began at the last call, and have grown at its end only.
    pub(crate) fn find(&mut self, buffer: &[u8]) -> Result<Option<usize>, BareLf> {
        let base = self.searched;
        let unseen = buffer.get(base..).unwrap_or_default();
        for offset in memchr::memchr_iter(b'\n', unseen) {
            let at = base + offset;
            let returned = at > self.line && buffer.get(at - 1) == Some(&b'\r');
            if !returned && self.taken == LineEnds::Crlf {
                return Err(BareLf);
            }
            if at == self.line + usize::from(returned) {
                return Ok(Some(at + 1));
            }
            if let (Some(end), Ok(at)) = (self.ends.get_mut(self.count), u32::try_from(at)) {
                *end = at;
                self.count += 1;
            }
            self.line = at + 1;
        }
        self.searched = buffer.len();
        Ok(None)
    }

    /// How many lines were found, as far as they are kept.
    pub(crate) const fn kept(&self) -> usize {
        self.count
    }

    /// The lines of a section that `find` has found whole, without their line ends and without the empty line.
    pub(crate) fn of<'a>(&self, section: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut ends = self.ends.get(..self.count).unwrap_or_default().iter();
        let mut start = 0;
        std::iter::from_fn(move || {
            let end = match ends.next().and_then(|end| usize::try_from(*end).ok()) {
                Some(end) => end,
                None => start + memchr::memchr(b'\n', section.get(start..)?)?,
            };
            let line = section.get(start..end)?;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            start = end + 1;
            (!line.is_empty()).then_some(line)
        })
    }
}

/// A field line as name and value, both as they were written; the blanks around the value are cut off.
///
/// Nothing else is forgiven: a line that folds (RFC 9112 section 5.2) and a name with a blank behind it (section
/// 5.1) have no valid name, as [`name`] will tell.
pub(crate) fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    let mut value = rest.get(1..)?;
    while let [b' ' | b'\t', inner @ ..] | [inner @ .., b' ' | b'\t'] = value {
        value = inner;
    }
    Some((name, value))
}

/// The name of a field, if it is a token (RFC 9110 section 5.6.2).
pub(crate) fn name(written: &[u8]) -> Option<HeaderName> {
    HeaderName::from_bytes(written).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_however_the_bytes_arrive() {
        let text = b"HTTP/1.1 200 OK\r\na: b\r\n\r\nrest\n";
        assert_eq!(Lines::<2>::default().find(text), Ok(Some(25)));
        let mut search = Lines::<2>::default();
        for have in 0..25 {
            assert_eq!(search.find(&text[..have]), Ok(None), "{have}");
        }
        assert_eq!(search.find(&text[..25]), Ok(Some(25)));
        assert_eq!(Lines::<0>::default().find(b"\r\n"), Ok(Some(2)));
    }

    #[test]
    fn a_bare_line_feed_is_refused() {
        for text in [&b"\n"[..], b"a\n", b"a\r\n\n", b"a\r\nb\n\r\n", b"\r\r\n\n"] {
            assert_eq!(Lines::<2>::default().find(text), Err(BareLf), "{text:?}");
        }
    }

    #[test]
    fn a_lenient_search_takes_it_for_a_line_end() {
        for text in ["a: b\nc\n\nrest", "a: b\r\nc\n\r\nrest", "a: b\nc\r\n\nrest"] {
            let mut search = Lines::<1>::lenient();
            let length = search.find(text.as_bytes()).unwrap().unwrap();
            assert_eq!(&text.as_bytes()[length..], b"rest");
            let section = &text.as_bytes()[..length];
            let lines: Vec<&[u8]> = search.of(section).collect();
            assert_eq!(lines, [&b"a: b"[..], b"c"], "{text:?}");
        }
        for text in ["a\r", "a\r\n", "a\n", "a\r\n\r"] {
            assert_eq!(Lines::<1>::lenient().find(text.as_bytes()), Ok(None), "{text:?}");
        }
    }

    fn lines<const KEPT: usize>(section: &[u8]) -> Vec<&str> {
        let mut search = Lines::<KEPT>::default();
        assert_eq!(search.find(section), Ok(Some(section.len())));
        search
            .of(section)
            .map(|line| str::from_utf8(line).unwrap())
            .collect()
    }

    #[test]
    fn gives_the_same_lines_however_many_ends_are_kept() {
        let section = b"one\r\ntwo\r\nthree\r\n\r\n";
        let want = ["one", "two", "three"];
        assert_eq!(lines::<0>(section), want);
        assert_eq!(lines::<1>(section), want);
        assert_eq!(lines::<3>(section), want);
        assert_eq!(lines::<9>(section), want);
        assert!(lines::<0>(b"\r\n").is_empty() && lines::<9>(b"\r\n").is_empty());
    }

    #[test]
    fn a_line_is_split_at_its_first_colon() {
        for (line, want) in [
            ("a: b", Some(("a", "b"))),
            ("a:b:c", Some(("a", "b:c"))),
            ("a:", Some(("a", ""))),
            ("a: \t ", Some(("a", ""))),
            ("a:\t b c \t", Some(("a", "b c"))),
            ("a: b\r", Some(("a", "b\r"))),
            ("a : b", Some(("a ", "b"))),
            (": b", Some(("", "b"))),
            (" a", None),
        ] {
            let want = want.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            assert_eq!(split(line.as_bytes()), want, "{line:?}");
        }
        assert!(name(b"a ").is_none() && name(b"").is_none() && name(b" a").is_none());
    }
}
