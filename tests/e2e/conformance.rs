//! The cases of `tests/guests/README.md`, run against the guest of every SDK through the real gateway. The cases are
//! data, in `tests/cases/conformance`; a guest that is listed and was not built fails with the command that builds it.

mod case;
mod check;
mod stand;

use std::collections::BTreeSet;

use case::Case;
use stand::Stand;

/// A component that does the cases, by its name in `target/guests`.
struct Guest {
    name: &'static str,
    /// Keys of its entry: what its language needs beyond the default budget.
    keys: &'static str,
}

/// Every SDK's guest. One that is missing here is not tested.
const GUESTS: &[Guest] = &[
    Guest {
        name: "probe",
        keys: "",
    },
    Guest {
        name: "probe-py",
        keys: "cpu = \"2s\"\ntimeout = \"10s\"\nmax-memory = \"256MiB\"",
    },
    Guest {
        name: "probe-js",
        keys: "cpu = \"2s\"\ntimeout = \"10s\"\nmax-memory = \"256MiB\"",
    },
];

#[tokio::test]
async fn every_guest_passes_every_case() {
    let cases = case::all();
    for guest in GUESTS {
        let stand = Stand::start(guest).await;
        let mut wrong = Vec::new();
        for case in &cases {
            if let Err(what) = stand.run(case).await {
                wrong.push(format!("{}: {what}", case.title()));
            }
        }
        assert!(wrong.is_empty(), "{}:\n{}", guest.name, wrong.join("\n"));
        stand.shutdown().await;
    }
}

#[test]
fn the_cases_of_the_table_and_those_that_run_are_the_same() {
    let readme = include_str!("../guests/README.md");
    let rows = readme
        .lines()
        .skip_while(|line| !line.starts_with("## Cases of `probe`"))
        .skip(1)
        .take_while(|line| !line.starts_with("## "));
    let told: BTreeSet<&str> = rows
        .filter_map(|line| line.strip_prefix("| "))
        .filter_map(|line| line.split(" |").next())
        .map(|cell| cell.trim_matches('`'))
        .filter(|cell| *cell != "case")
        .collect();
    let cases = case::all();
    let run: BTreeSet<&str> = cases.iter().flat_map(Case::names).collect();
    assert!(told.len() > 30, "the table was not found: {told:?}");
    assert_eq!(told, run);
}
