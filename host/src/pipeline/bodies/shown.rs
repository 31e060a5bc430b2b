//! A body while hooks see it: what goes out, what they are shown of it, and where its `Content-Encoding` is
//! meanwhile. Knows heads and budgets, no hook and no exchange.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, HeaderValue};

use crate::config::{BodyOverflow, Budget};
use crate::message::decode::{Codings, DecodeError, Limits};

/// What is known of a body in front of hooks.
#[derive(Debug)]
enum View {
    /// All of it, decoded.
    Whole(Bytes),
    /// Longer than the buffer; its first bytes, if they are not compressed.
    Longer(Option<Bytes>),
}

/// What one stage gets of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Share {
    Whole(Bytes),
    Prefix(Bytes),
    PassedBy,
    Refused,
}

/// A body while hooks see it. While they see it decoded, the head names no coding, so that a hook that replaces it can
/// name the coding of what it sends; a body that nobody replaced goes out as it came, with the codings that it had.
#[derive(Debug)]
pub(super) struct Shown {
    /// What goes out, or the first part of it.
    raw: Bytes,
    /// What hooks see of it; none = not worked out since a hook replaced it.
    view: Option<View>,
    /// The codings of `raw`, where the head does not name them.
    codings: Vec<HeaderValue>,
    limits: Limits,
    replaced: bool,
}

impl Shown {
    /// A body that is all there; `headers` are those of its head.
    ///
    /// # Errors
    /// [`DecodeError`], but not for a body that is longer than the limits when decoded: it is passed by or refused.
    pub(super) fn whole(
        raw: Bytes,
        codings: Codings,
        headers: &mut HeaderMap,
        limits: Limits,
    ) -> Result<Self, DecodeError> {
        let mut shown = Self {
            view: None,
            raw,
            codings: Vec::new(),
            limits,
            replaced: false,
        };
        shown.view = Some(shown.decoded(codings, headers)?);
        Ok(shown)
    }

    /// The first part of a body that is longer than the limits.
    pub(super) fn prefix(raw: Bytes, codings: Codings, limits: Limits) -> Self {
        Self {
            view: Some(View::Longer(codings.is_identity().then(|| raw.clone()))),
            raw,
            codings: Vec::new(),
            limits,
            replaced: false,
        }
    }

    /// What a stage with this budget gets of it.
    ///
    /// # Errors
    /// When what another hook has put in its place is not what its head says.
    pub(super) fn share(&mut self, budget: &Budget, headers: &mut HeaderMap) -> Result<Share, DecodeError> {
        let view = match self.view.take() {
            Some(view) => view,
            None => self.decoded(Codings::of(headers)?, headers)?,
        };
        let view = self.view.insert(view);
        let max = usize::try_from(budget.max_body).unwrap_or(usize::MAX);
        let first = match view {
            View::Whole(bytes) if bytes.len() <= max => return Ok(Share::Whole(bytes.clone())),
            View::Whole(bytes) => Some(bytes),
            View::Longer(first) => first.as_mut(),
        };
        Ok(match (budget.body_overflow, first) {
            (BodyOverflow::Skip, _) => Share::PassedBy,
            (BodyOverflow::Prefix, Some(first)) => Share::Prefix(first.slice(..max.min(first.len()))),
            // The first bytes of a compressed body cannot be shown.
            (BodyOverflow::Prefix, None) | (BodyOverflow::Reject, _) => Share::Refused,
        })
    }

    /// A hook puts this in its place, in the codings that the head names now.
    pub(super) fn replace(&mut self, bytes: Bytes) {
        self.raw = bytes;
        self.view = None;
        self.codings.clear();
        self.replaced = true;
    }

    /// A hook wanted to replace a body of which it saw the first bytes: they are sent on as they are, and what it said
    /// of the coding of its own is void.
    pub(super) fn keep(headers: &mut HeaderMap) {
        headers.remove(CONTENT_ENCODING);
    }

    /// What goes out, and whether a hook replaced it. The head names its codings again.
    pub(super) fn settle(self, headers: &mut HeaderMap) -> (Bytes, bool) {
        if !self.codings.is_empty() {
            headers.remove(CONTENT_ENCODING);
        }
        for coding in self.codings {
            headers.append(CONTENT_ENCODING, coding);
        }
        (self.raw, self.replaced)
    }

    /// What hooks see of `raw`; takes its codings out of the head if that is the whole of it.
    fn decoded(&mut self, codings: Codings, headers: &mut HeaderMap) -> Result<View, DecodeError> {
        let bytes = match codings.decode(&self.raw, &self.limits) {
            Ok(bytes) => bytes,
            Err(DecodeError::TooLarge { .. }) => return Ok(View::Longer(None)),
            Err(error) => return Err(error),
        };
        self.codings = headers.get_all(CONTENT_ENCODING).iter().cloned().collect();
        headers.remove(CONTENT_ENCODING);
        Ok(View::Whole(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const LIMITS: Limits = Limits {
        max_output: 1 << 20,
        max_ratio: 100,
    };

    fn gzip(text: &str) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap().into()
    }

    fn head(codings: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for coding in codings {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        headers
    }

    fn codings(headers: &HeaderMap) -> Vec<&str> {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    fn shown(raw: &Bytes, headers: &mut HeaderMap) -> Shown {
        Shown::whole(raw.clone(), Codings::of(headers).unwrap(), headers, LIMITS).unwrap()
    }

    fn seen(shown: &mut Shown, headers: &mut HeaderMap) -> Share {
        shown.share(&Budget::default(), headers).unwrap()
    }

    #[test]
    fn a_body_that_nobody_replaces_goes_out_as_it_came() {
        let raw = gzip("text");
        for lines in [
            &["gzip"][..],
            &["x-gzip"],
            &["identity", "gzip"],
            &["identity, gzip"],
        ] {
            let mut headers = head(lines);
            let mut shown = shown(&raw, &mut headers);
            assert_eq!(seen(&mut shown, &mut headers), Share::Whole("text".into()));
            assert_eq!(codings(&headers), [""; 0]);
            assert_eq!(shown.settle(&mut headers), (raw.clone(), false));
            assert_eq!(codings(&headers), lines);
        }
    }

    #[test]
    fn a_replacement_has_the_coding_that_its_hook_names() {
        for named in [None, Some("gzip"), Some("br")] {
            let mut headers = head(&["gzip"]);
            let mut shown = shown(&gzip("text"), &mut headers);
            seen(&mut shown, &mut headers);
            if let Some(coding) = named {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            }
            shown.replace("coded".into());
            assert_eq!(shown.settle(&mut headers), ("coded".into(), true));
            assert_eq!(codings(&headers), Vec::from_iter(named));
        }
    }

    #[test]
    fn the_next_hook_sees_a_coded_replacement_decoded() {
        let mut headers = head(&[]);
        let mut shown = shown(&"text".into(), &mut headers);
        seen(&mut shown, &mut headers);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        shown.replace(gzip("new"));
        assert_eq!(seen(&mut shown, &mut headers), Share::Whole("new".into()));
        assert_eq!(codings(&headers), [""; 0]);
        assert_eq!(shown.settle(&mut headers), (gzip("new"), true));
        assert_eq!(codings(&headers), ["gzip"]);
    }

    #[test]
    fn a_replacement_that_is_not_what_its_head_says_is_told() {
        let mut headers = head(&[]);
        let mut shown = shown(&"text".into(), &mut headers);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        shown.replace("not gzip".into());
        assert!(shown.share(&Budget::default(), &mut headers).is_err());
    }

    #[test]
    fn a_coding_for_the_first_bytes_alone_is_void() {
        let mut headers = head(&[]);
        let mut shown = Shown::prefix("first".into(), Codings::default(), LIMITS);
        let budget = Budget {
            max_body: 2,
            body_overflow: BodyOverflow::Prefix,
            ..Budget::default()
        };
        assert_eq!(
            shown.share(&budget, &mut headers).unwrap(),
            Share::Prefix("fi".into())
        );
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        Shown::keep(&mut headers);
        assert_eq!(shown.settle(&mut headers), ("first".into(), false));
        assert_eq!(codings(&headers), [""; 0]);
    }

    #[test]
    fn a_body_that_is_too_long_when_decoded_keeps_its_head() {
        let mut headers = head(&["gzip"]);
        let raw = gzip(&"0".repeat(2 << 20));
        let mut shown = shown(&raw, &mut headers);
        for (overflow, share) in [
            (BodyOverflow::Skip, Share::PassedBy),
            (BodyOverflow::Prefix, Share::Refused),
            (BodyOverflow::Reject, Share::Refused),
        ] {
            let budget = Budget {
                body_overflow: overflow,
                ..Budget::default()
            };
            assert_eq!(shown.share(&budget, &mut headers).unwrap(), share);
        }
        assert_eq!(shown.settle(&mut headers), (raw, false));
        assert_eq!(codings(&headers), ["gzip"]);
    }
}
