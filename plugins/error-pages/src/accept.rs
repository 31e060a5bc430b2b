//! Which form of an answer a client prefers: `Accept` by RFC 9110 section 12.5.1. Knows media ranges and weights, no
//! page.

use portcullis::headers::weight;

use crate::config::Form;

/// At most so many ranges are looked at; no client means more.
const MAX_RANGES: usize = 64;

/// One media range. Parameters other than `q` do not matter: no form has any that a client could ask for.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    weight: u16,
}

/// How well a range names a form: more is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    All,
    Kind,
    Exact,
}

/// The form with the highest weight. Among equals one that the client names goes before one that it means by `*`, then
/// `default` goes first. A client that accepts none of them gets the default (RFC 9110 section 12.4.1).
pub(crate) fn choose(lines: &[String], default: Form) -> Form {
    let ranges: Vec<Range<'_>> = lines
        .iter()
        .flat_map(|line| split(line, ','))
        .filter_map(Range::parse)
        .take(MAX_RANGES)
        .collect();
    if ranges.is_empty() {
        return default;
    }
    let mut best = ((0, Match::All), default);
    // Of equals the last is taken.
    for form in [Form::Text, Form::Html, Form::Problem, default] {
        let fitting = ranges
            .iter()
            .filter_map(|range| Some((range.fits(form)?, range.weight)));
        // The most specific range says the weight.
        if let Some((how, weight)) = fitting.max()
            && weight > 0
            && (weight, how) >= best.0
        {
            best = ((weight, how), form);
        }
    }
    best.1
}

impl<'a> Range<'a> {
    /// None for what is no media range, and for a weight that is none.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = split(text, ';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        Some(Self {
            kind,
            subtype,
            weight: weight(parts)?,
        })
    }

    fn fits(&self, form: Form) -> Option<Match> {
        let (kind, subtype) = match form {
            Form::Problem => ("application", "problem+json"),
            Form::Html => ("text", "html"),
            Form::Text => ("text", "plain"),
        };
        let is = |text: &str, name: &str| text.eq_ignore_ascii_case(name);
        match (self.kind, self.subtype) {
            ("*", "*") => Some(Match::All),
            (own, "*") => is(own, kind).then_some(Match::Kind),
            (own, other) if is(own, kind) && is(other, subtype) => Some(Match::Exact),
            // What a browser or a client of an API means by these.
            (own, other) if is(own, "application") => match form {
                Form::Problem => is_json(other).then_some(Match::Exact),
                Form::Html => is(other, "xhtml+xml").then_some(Match::Exact),
                Form::Text => None,
            },
            _ => None,
        }
    }
}

/// `json`, and the formats that are JSON by their suffix (RFC 6839 section 3.1).
fn is_json(subtype: &str) -> bool {
    let lower = subtype.to_ascii_lowercase();
    lower == "json" || lower.ends_with("+json")
}

/// Splits where the separator stands outside of a quoted string (RFC 9110 section 5.6.4).
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        if escaped {
            escaped = false;
            return false;
        }
        match c {
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chosen(accept: &str, default: Form) -> Form {
        choose(&[accept.to_owned()], default)
    }

    #[test]
    fn the_highest_weight_wins() {
        for (accept, form) in [
            ("text/html", Form::Html),
            ("text/plain", Form::Text),
            ("application/problem+json", Form::Problem),
            ("TEXT/Html", Form::Html),
            ("text/html;q=0.5, text/plain;q=0.6", Form::Text),
            ("text/html;q=0.5,text/plain;q=0.499", Form::Html),
            ("text/plain ; Q=0.9 , text/html ; q=0.95", Form::Html),
            // What browsers send.
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
                Form::Html,
            ),
            ("application/xhtml+xml", Form::Html),
            // What clients of APIs send.
            ("application/json", Form::Problem),
            ("application/json, text/plain, */*", Form::Problem),
            ("application/vnd.example+json", Form::Problem),
            ("application/*", Form::Problem),
        ] {
            assert_eq!(chosen(accept, Form::Problem), form, "{accept}");
        }
    }

    #[test]
    fn the_most_specific_range_says_the_weight() {
        for (accept, form) in [
            ("text/html;q=0.1, */*;q=0.5", Form::Problem),
            ("text/*;q=0.9, text/html;q=0.1, */*;q=0.2", Form::Text),
            ("text/html;q=0, */*", Form::Problem),
            ("*/*, application/problem+json;q=0", Form::Html),
            ("*/*;q=1, application/*;q=0", Form::Html),
        ] {
            assert_eq!(chosen(accept, Form::Problem), form, "{accept}");
        }
    }

    #[test]
    fn the_default_is_for_clients_that_prefer_nothing() {
        for default in [Form::Problem, Form::Html, Form::Text] {
            assert_eq!(choose(&[], default), default);
            for accept in [
                "",
                "*/*",
                "*/*;q=0.1",
                "image/png",
                "text/html;q=0, text/plain;q=0, application/problem+json;q=0",
                "text/html, text/plain, application/json",
                ",",
                "nonsense",
            ] {
                assert_eq!(chosen(accept, default), default, "{accept:?}");
            }
        }
    }

    #[test]
    fn what_the_client_names_goes_before_what_it_means_by_an_asterisk() {
        assert_eq!(chosen("text/html, */*", Form::Problem), Form::Html);
        assert_eq!(chosen("application/json, */*", Form::Html), Form::Problem);
        assert_eq!(chosen("text/*, */*", Form::Text), Form::Text);
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = ["text/plain;q=0.3".to_owned(), "text/html;q=0.4".to_owned()];
        assert_eq!(choose(&lines, Form::Problem), Form::Html);
    }

    #[test]
    fn parameters_and_quoted_strings_do_not_confuse() {
        for (accept, form) in [
            ("text/html;level=1;q=0.4, text/plain;q=0.3", Form::Html),
            (r#"text/html;a="x,text/plain;q=1\"";q=0.2"#, Form::Html),
            (
                r#"application/json;profile="a;q=0", text/html;q=0.9"#,
                Form::Problem,
            ),
        ] {
            assert_eq!(chosen(accept, Form::Text), form, "{accept}");
        }
    }

    #[test]
    fn a_range_with_a_weight_that_is_none_is_passed_over() {
        for weight in ["2", "1.001", "0.1234", "-1", ".5", "0.x", ""] {
            let accept = format!("text/html;q={weight}, text/plain;q=0.1");
            assert_eq!(chosen(&accept, Form::Problem), Form::Text, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_form(lines in proptest::collection::vec(".*", 0..4)) {
            choose(&lines, Form::Html);
        }

        #[test]
        fn the_order_of_ranges_does_not_matter(
            ranges in Just(vec!["text/html", "text/plain;q=0.7", "*/*;q=0.2", "application/*;q=0.8", "text/*;q=0"])
                .prop_shuffle()
        ) {
            prop_assert_eq!(chosen(&ranges.join(", "), Form::Text), Form::Html);
        }
    }
}
