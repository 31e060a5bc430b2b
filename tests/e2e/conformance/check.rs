//! Whether what came is what a case says; the error says what is not.

use std::collections::BTreeMap;

use portcullis_tests::Answer;
use portcullis_tests::message::Fields;
use portcullis_tests::upstream::Received;
use serde_json::Value;

use super::case::{self, Values};

/// An answer.
pub(super) fn answer(expected: &case::Answer, found: &Answer) -> Result<(), String> {
    let body = String::from_utf8_lossy(&found.body);
    if found.status != expected.status {
        return Err(format!(
            "status {}, not {}: {body}",
            found.status, expected.status
        ));
    }
    fields(&expected.headers, &expected.absent, &found.fields)?;
    if let Some(text) = &expected.text
        && *text != body
    {
        return Err(format!("body {body:?}, not {text:?}"));
    }
    if let Some(json) = &expected.json {
        let all: Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body:?}"))?;
        // TOML has no null: an object that needs one is written as text.
        let json = &match json {
            Value::String(text) => serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?,
            json => json.clone(),
        };
        let problem = found.header("content-type") == Some("application/problem+json");
        match (problem, json) {
            (true, Value::Object(members)) => {
                for (name, value) in members {
                    if all[name] != *value {
                        return Err(format!("member {name} is {}, not {value}", all[name]));
                    }
                }
            }
            _ if all == *json => {}
            _ => return Err(format!("{all}, not {json}")),
        }
    }
    Ok(())
}

/// A request at an upstream.
pub(super) fn request(expected: &case::Upstream, found: &Received) -> Result<(), String> {
    for (what, expected, found) in [
        ("method", &expected.method, &found.method),
        ("target", &expected.target, &found.target),
        (
            "body",
            &expected.body,
            &String::from_utf8_lossy(&found.body).into_owned(),
        ),
    ] {
        if let Some(expected) = expected
            && expected != found
        {
            return Err(format!("the upstream got the {what} {found:?}, not {expected:?}"));
        }
    }
    fields(&expected.headers, &expected.absent, &found.fields)
        .map_err(|what| format!("at the upstream: {what}"))
}

fn fields(expected: &BTreeMap<String, Values>, absent: &[String], found: &Fields) -> Result<(), String> {
    for (name, values) in expected {
        let (values, found) = (values.list(), found.all(name));
        if values != found {
            return Err(format!("field {name} is {found:?}, not {values:?}"));
        }
    }
    match absent.iter().find(|name| found.get(name).is_some()) {
        Some(name) => Err(format!("field {name} is there: {:?}", found.all(name))),
        None => Ok(()),
    }
}
