//! Whether what came of a row is what it says; the error holds both.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_tests::Answer;
use portcullis_tests::message::Fields;
use portcullis_tests::upstream::Received;
use serde_json::Value;

use super::case::{Case, Got, Sent};

/// The lines of its hooks.
pub(super) fn trace(case: &Case, lines: &[String]) -> Result<(), String> {
    let (told, calls): (Vec<&String>, Vec<&String>) = lines.iter().partition(|line| is_told(line));
    let expected = case.calls();
    let same = expected.len() == calls.len()
        && expected
            .iter()
            .zip(&calls)
            .all(|(expected, call)| is_call(expected, call));
    if !same {
        return Err(differ("hooks", &expected, &calls));
    }
    let told: Vec<&String> = told.into_iter().filter(|line| !line.ends_with("=ok")).collect();
    if told != case.told.iter().collect::<Vec<_>>() {
        return Err(differ("told", &case.told, &told));
    }
    Ok(())
}

/// `ENTRY HOOK VERB=RESULT`.
pub(super) fn is_told(line: &str) -> bool {
    line.split(' ').nth(2).is_some_and(|word| word.contains('='))
}

/// The call begins with the words that are expected.
fn is_call(expected: &str, call: &str) -> bool {
    let rest = call.strip_prefix(expected);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// What the client got.
pub(super) fn answer(expected: &Got, found: &Answer) -> Result<(), String> {
    let body = String::from_utf8_lossy(&found.body);
    if expected.status != Some(found.status) {
        return Err(format!(
            "  status {} where it should be {:?}: {body}",
            found.status, expected.status
        ));
    }
    fields("the answer", &expected.fields, &found.fields)?;
    match &expected.code {
        None => equal(
            "the answer's body",
            expected.text.as_deref().unwrap_or_default(),
            &body,
        ),
        Some(code) => problem(code, expected.detail.as_deref(), found),
    }
}

/// Its head alone.
pub(super) fn head(expected: &Got, status: u16, found: &Fields) -> Result<(), String> {
    equal(
        "status",
        &format!("{:?}", expected.status),
        &format!("{:?}", Some(status)),
    )?;
    fields("the answer", &expected.fields, found)
}

fn problem(code: &str, detail: Option<&str>, found: &Answer) -> Result<(), String> {
    let kind = found.header("content-type").unwrap_or_default();
    equal("content-type", "application/problem+json", kind)?;
    let document: Value = serde_json::from_slice(&found.body).map_err(|error| {
        format!(
            "  the problem document: {error}: {}",
            String::from_utf8_lossy(&found.body)
        )
    })?;
    equal("code", code, document["code"].as_str().unwrap_or_default())?;
    equal(
        "status in the document",
        &found.status.to_string(),
        &document["status"].to_string(),
    )?;
    match detail {
        Some(detail) => equal("detail", detail, document["detail"].as_str().unwrap_or_default()),
        None => Ok(()),
    }
}

/// The requests that reached upstreams; in order where they reached the same one.
pub(super) fn sent(case: &Case, found: &[(&str, Received)]) -> Result<(), String> {
    let (mut expected, mut found): (Vec<&Sent>, Vec<_>) =
        (case.sent.iter().collect(), found.iter().collect());
    expected.sort_by_key(|sent| &sent.to);
    found.sort_by_key(|(name, _)| *name);
    let to: Vec<&str> = expected.iter().map(|sent| sent.to.as_str()).collect();
    let came: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    if came != to {
        return Err(format!(
            "  requests were sent to {came:?} where it should be {to:?}"
        ));
    }
    let mut pairs = expected.into_iter().zip(found);
    pairs.try_for_each(|(expected, (_, found))| request(case, expected, found))
}

fn request(case: &Case, expected: &Sent, found: &Received) -> Result<(), String> {
    let (method, target) = case.start();
    let at = |what: &str| format!("the {what} at {}", expected.to);
    equal(
        &at("method"),
        expected.method.as_deref().unwrap_or(method),
        &found.method,
    )?;
    equal(
        &at("target"),
        expected.target.as_deref().unwrap_or(&target),
        &found.target,
    )?;
    let body = expected.body.clone().unwrap_or_else(|| case.body());
    equal(&at("body"), &body, &String::from_utf8_lossy(&found.body))?;
    fields(&expected.to, &expected.fields, &found.fields)
}

/// Those that are expected, and no further `x-` field.
fn fields(what: &str, expected: &BTreeMap<String, String>, found: &Fields) -> Result<(), String> {
    let mut names: BTreeSet<String> = expected.keys().cloned().collect();
    let others = found.0.iter().map(|(name, _)| name.to_ascii_lowercase());
    names.extend(others.filter(|name| is_of_the_row(name)));
    for name in &names {
        let (expected, found) = (expected.get(name), found.all(name));
        let found = (!found.is_empty()).then(|| found.join(", "));
        if expected != found.as_ref() {
            return Err(format!(
                "  field {name} of {what} is {found:?} where it should be {expected:?}"
            ));
        }
    }
    Ok(())
}

/// Neither the test's own nor the gateway's.
fn is_of_the_row(name: &str) -> bool {
    name.starts_with("x-") && !matches!(name, "x-do" | "x-row") && !name.starts_with("x-forwarded-")
}

fn equal(what: &str, expected: &str, found: &str) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("  {what} is {found:?} where it should be {expected:?}"))
}

/// Two lists side by side.
fn differ(what: &str, expected: &[String], found: &[&String]) -> String {
    let mut text = format!("  {what}:\n    {:<46} | seen", "expected");
    for index in 0..expected.len().max(found.len()) {
        let left = expected.get(index).map_or("", String::as_str);
        let right = found.get(index).map_or("", |line| line.as_str());
        let mark = if is_call(left, right) { ' ' } else { '!' };
        text.push_str(&format!("\n  {mark} {left:<46} | {right}"));
    }
    text
}
