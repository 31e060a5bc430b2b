//! The upstreams that a row may name, by what they do. One more, `down`, is an address where nobody listens.

use portcullis_tests::Upstream;
use portcullis_tests::upstream::{Gate, Step, Turn};

/// Starts one of each.
pub(super) fn start() -> Vec<(&'static str, Upstream)> {
    let never = Gate::closed();
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    vec![
        ("main", Upstream::fixed(200, &[("x-upstream", "main")], "answer")),
        ("spare", Upstream::fixed(200, &[("x-upstream", "spare")], "spare")),
        ("bare", Upstream::fixed(200, &[], "")),
        ("gone", Upstream::fixed(204, &[], "")),
        ("same", Upstream::fixed(304, &[("x-upstream", "same")], "")),
        ("broken", Upstream::fixed(500, &[], "broken")),
        ("resets", Upstream::reset()),
        ("resets-once", Upstream::flaky(&[Turn::Reset, Turn::Answer(200)])),
        (
            "babbles",
            Upstream::raw([
                Step::Request,
                Step::send("SSH-2.0-OpenSSH_9.6\r\n\r\n"),
                Step::Drain,
            ]),
        ),
        (
            "silent",
            Upstream::raw([Step::Request, Step::Wait(never.clone())]),
        ),
        ("slow", Upstream::raw([Step::Request, Step::Wait(never.clone())])),
        ("cut", Upstream::raw([Step::Request, Step::send(half)])),
        (
            "stops",
            Upstream::raw([Step::Request, Step::send(half), Step::Wait(never.clone())]),
        ),
        (
            "half",
            Upstream::raw([Step::Request, Step::send(half), Step::Wait(never)]),
        ),
    ]
}

/// Further keys of an upstream: those that time out do so soon.
pub(super) fn keys(upstream: &str) -> &'static str {
    match upstream {
        "silent" => "first-byte-timeout = \"100ms\"",
        "stops" => "idle-timeout = \"100ms\"",
        _ => "",
    }
}
