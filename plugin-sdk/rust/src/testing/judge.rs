//! What the gateway would treat as a fault of the plugin: an answer that HTTP cannot carry. Panics with the reason.

use crate::host::fake::exchange::Fields;
use crate::{Action, Answer, BodyAction, ErrorAction, Refusal, Reply, ResponseAction, ResponseBodyAction};

pub(super) fn action(action: &Action) {
    check(action.reply(), action.refusal());
}

pub(super) fn body_action(action: &BodyAction) {
    check(action.reply(), action.refusal());
}

pub(super) fn response_action(action: &ResponseAction) {
    check(action.reply(), action.refusal());
}

pub(super) fn response_body_action(action: &ResponseBodyAction) {
    check(action.reply(), action.refusal());
}

pub(super) fn error_action(action: &ErrorAction) {
    check(action.reply(), None);
}

pub(super) fn answer(answer: &Answer) {
    check(answer.reply(), answer.refusal());
}

pub(super) fn preference(picked: Option<usize>, candidates: usize) {
    if let Some(index) = picked {
        assert!(index < candidates, "endpoint {index} was picked of {candidates}");
    }
}

fn check(reply: Option<&Reply>, refusal: Option<&Refusal>) {
    if let Some(reply) = reply {
        assert!(
            (200..600).contains(&reply.status),
            "a reply has a status from 200 to 599, not {}",
            reply.status
        );
        fields(&reply.headers);
    }
    if let Some(refusal) = refusal {
        assert!(
            (300..600).contains(&refusal.status),
            "status {} cannot refuse a request",
            refusal.status
        );
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let code = &refusal.code;
        assert!(
            !code.is_empty() && code.len() <= 64 && code.chars().all(kebab),
            "the code `{code}` is not kebab-case"
        );
        fields(&refusal.headers);
        refusal.report();
    }
}

fn fields(headers: &[(String, String)]) {
    for (name, value) in headers {
        let appended = Fields::default().append(name, value);
        assert!(
            appended.is_ok(),
            "the header `{name}: {value}` is refused: {appended:?}"
        );
    }
}
