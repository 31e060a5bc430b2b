//! What was expected of an exchange against what came of it. It refuses to know how the exchange was played.

use std::fmt::Display;

use http::HeaderMap;
use serde_json::Value;

use crate::config::Diagnostic;
use crate::config::cases::{Expect, ExpectMessage, Expectation};
use crate::exchange::to_text;
use crate::gateway::rehearsal::Played;

/// Lines of a difference that are shown.
const MAX_LINES: usize = 40;

/// Everything that is not as expected.
pub(super) fn wrong(expect: &Expect, played: &Played, lines: &[String]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut say = |problem: Option<Diagnostic>| found.extend(problem);
    for (hook, wanted) in &expect.verdicts {
        let calls = played.told.iter().filter(|told| told.hook.name() == hook);
        let verdicts: Vec<&str> = calls.map(|told| told.verdict).collect();
        let verdict = if verdicts.is_empty() {
            "not called".to_owned()
        } else {
            verdicts.join(", ")
        };
        say(same(&format!("verdict of {hook}"), wanted, &verdict));
    }
    if let Some(wanted) = &expect.fault {
        let faults = played.told.iter().filter_map(|told| told.fault.as_ref());
        let kinds: Vec<&str> = faults.map(|fault| fault.kind.name()).collect();
        say(same("fault", wanted, &kinds.join(", ")));
    } else if let (Some(fault), Some(place)) = (
        played.told.iter().find_map(|told| told.fault.as_ref()),
        expect.at.as_ref(),
    ) {
        // A fault that nobody expects is a failure, whatever the client got.
        let expected = expect.verdicts.iter().any(|(_, wanted)| wanted.what == "fault");
        say((!expected).then(|| place.problem(format!("the plugin failed: {fault}"), None)));
    }
    let (head, body) = (&played.head, &played.body);
    if let Some(wanted) = &expect.client.status {
        say(same("status", wanted, &head.status.as_u16()));
    }
    if let Some(wanted) = &expect.code {
        say(same("code", wanted, &played.code.clone().unwrap_or_default()));
    }
    if let Some(wanted) = &expect.json {
        say(json(wanted, body));
    }
    message("response", &expect.client, &head.headers, body, &mut say);
    if let Some(wanted) = &expect.forwarded {
        say(same("forwarded", wanted, &played.sent.is_some()));
    }
    match &played.sent {
        Some(sent) => {
            let wants = &expect.upstream;
            let fact = |what, wanted: &Option<Expectation<String>>, found: &str| {
                let wanted = wanted.as_ref()?;
                same(what, wanted, &found.to_owned())
            };
            say(fact(
                "method to the upstream",
                &wants.method,
                sent.method.as_str(),
            ));
            say(fact(
                "target to the upstream",
                &wants.target,
                sent.target.as_str(),
            ));
            say(fact("upstream", &wants.name, &sent.name));
            message(
                "request to the upstream",
                wants,
                &sent.headers,
                &sent.body,
                &mut say,
            );
        }
        None => say(expect
            .upstream
            .at
            .as_ref()
            .map(|place| place.problem("the upstream is not asked".to_owned(), None))),
    }
    for (key, wanted) in &expect.attributes {
        let value = played.attributes.iter().find(|(name, _)| name == key);
        let value = value.map(|(_, value)| value.clone());
        say(same(&format!("attribute `{key}`"), wanted, &value));
    }
    for wanted in &expect.log {
        if !lines.iter().any(|line| line.contains(&wanted.what)) {
            let message = format!("no line of the log holds `{}`", wanted.what);
            let help = match lines {
                [] => "the plugin logged nothing".to_owned(),
                lines => format!("it logged:\n  {}", lines.join("\n  ")),
            };
            say(Some(wanted.place.problem(message, Some(help))));
        }
    }
    found
}

/// Fields and body.
fn message(
    name: &str,
    wants: &ExpectMessage,
    headers: &HeaderMap,
    body: &[u8],
    say: &mut impl FnMut(Option<Diagnostic>),
) {
    for (field, wanted) in &wants.headers {
        let values: Vec<String> = headers
            .get_all(field)
            .iter()
            .map(|value| to_text(value.as_bytes()))
            .collect();
        let values = (!values.is_empty()).then_some(values);
        say(same(&format!("field `{field}` of the {name}"), wanted, &values));
    }
    if let Some(wanted) = &wants.body {
        let found = String::from_utf8_lossy(body);
        let problem = || {
            let message = format!("the body of the {name} is another");
            wanted
                .place
                .problem(message, Some(difference(&wanted.what, &found)))
        };
        say((wanted.what != found).then(problem));
    }
}

fn same<T: PartialEq + Shown>(what: &str, wanted: &Expectation<T>, found: &T) -> Option<Diagnostic> {
    if wanted.what == *found {
        return None;
    }
    let message = format!(
        "{what}: expected {}, found {}",
        wanted.what.shown(),
        found.shown()
    );
    Some(wanted.place.problem(message, None))
}

/// How a value is shown in a message.
trait Shown {
    fn shown(&self) -> String;
}

impl Shown for u16 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for bool {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for String {
    fn shown(&self) -> String {
        if self.is_empty() {
            "none".to_owned()
        } else {
            quoted(self)
        }
    }
}

impl Shown for Option<String> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), quoted)
    }
}

impl Shown for Option<Vec<String>> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(
            || "none".to_owned(),
            |values| values.iter().map(quoted).collect::<Vec<_>>().join(" and "),
        )
    }
}

fn quoted(text: impl Display) -> String {
    format!("`{text}`")
}

/// The lines that differ.
fn difference(wanted: &str, found: &str) -> String {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (wanted, found) = (lines(wanted), lines(found));
    let before = wanted.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let (old, new) = (wanted.iter().skip(before), found.iter().skip(before));
    let after = old.rev().zip(new.rev()).take_while(|(a, b)| a == b).count();
    let part = |sign: char, lines: &[String]| {
        let count = lines.len().saturating_sub(before + after);
        let lines = lines.iter().skip(before).take(count.min(MAX_LINES));
        lines.map(|line| format!("\n{sign} {line}")).collect::<String>()
    };
    format!(
        "from line {} on, expected (-) and found (+):{}{}",
        before + 1,
        part('-', &wanted),
        part('+', &found)
    )
}

/// Every expected member is in the body with that value; other members may be there.
fn json(wanted: &Expectation<Value>, body: &[u8]) -> Option<Diagnostic> {
    let found: Value = match serde_json::from_slice(body) {
        Ok(found) => found,
        Err(error) => {
            let help = format!("found: {}", String::from_utf8_lossy(body));
            return Some(
                wanted
                    .place
                    .problem(format!("the body is no JSON: {error}"), Some(help)),
            );
        }
    };
    let mut wrong = Vec::new();
    missing(&wanted.what, &found, "", &mut wrong);
    (!wrong.is_empty()).then(|| {
        let message = "the body's JSON is another".to_owned();
        wanted.place.problem(message, Some(wrong.join("\n")))
    })
}

fn missing(wanted: &Value, found: &Value, pointer: &str, wrong: &mut Vec<String>) {
    if let (Value::Object(wanted), Value::Object(found)) = (wanted, found) {
        for (key, value) in wanted {
            let pointer = format!("{pointer}/{key}");
            match found.get(key) {
                Some(found) => missing(value, found, &pointer, wrong),
                None => wrong.push(format!("{pointer}: expected {value}, found none")),
            }
        }
    } else if wanted != found {
        wrong.push(format!("{pointer}: expected {wanted}, found {found}"));
    }
}
