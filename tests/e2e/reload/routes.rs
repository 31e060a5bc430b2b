//! Ten thousand routes are replaced by ten thousand others while requests flow: none fails, none goes astray.

use std::fmt::Write as _;

use portcullis_tests::{Answer, Gateway, Load, Request, Upstream};

/// Routes beside the two under load.
const ROUTES: usize = 10_000;
/// Times that all of them are replaced.
const SWAPS: usize = 5;

/// Routes whose paths and upstream depend on the round; two stay where they are, the first and the last of the table.
fn routes(round: usize) -> String {
    let upstream = if round.is_multiple_of(2) { "even" } else { "odd" };
    let mut text = String::new();
    let mut route = |name: &str, upstream: &str| {
        writeln!(
            text,
            "[[routes]]\nname = \"{name}\"\nmatch = {{ prefix = \"/{name}\" }}\nupstream = \"{upstream}\""
        )
        .expect("a string takes all");
    };
    route("stays", "even");
    for number in 0..ROUTES {
        route(&format!("r{round}-{number}"), upstream);
    }
    route("changes", upstream);
    text
}

#[tokio::test]
async fn ten_thousand_routes_are_replaced_under_load() {
    let (even, odd) = (
        Upstream::fixed(200, &[], "even"),
        Upstream::fixed(200, &[], "odd"),
    );
    let gateway = Gateway::new()
        .upstream("even", &even)
        .upstream("odd", &odd)
        .toml(&routes(0))
        .start_binary()
        .await;
    let load = |target: &str, texts: &'static [&str]| {
        let judge = move |answer: &Answer| match (answer.status, texts.contains(&answer.text())) {
            (200, true) => Ok(()),
            (status, _) => Err(format!("{status}: {}", answer.text())),
        };
        Load::new(gateway.address(), Request::get(target))
            .connections(1)
            .check(judge)
            .start()
    };
    let stays = load("/stays", &["even"]);
    let changes = load("/changes", &["even", "odd"]);
    for round in 1..=SWAPS {
        let text = if round.is_multiple_of(2) { "even" } else { "odd" };
        gateway.write_toml(&routes(round));
        gateway
            .wait_for_answer("/changes", |answer| answer.text() == text)
            .await;
        for (target, status) in [
            (format!("/r{round}-0"), 200),
            (format!("/r{round}-{}", ROUTES - 1), 200),
            (format!("/r{}-0", round - 1), 404),
        ] {
            assert_eq!(gateway.get(&target).await.status, status, "{target}");
        }
    }
    for load in [stays, changes] {
        let report = load.stop().await;
        report.expect_no_failure();
        assert!(report.requests > 100, "{report}");
    }
    gateway.shutdown().await;
}
