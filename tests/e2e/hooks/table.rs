//! The order of hooks as a table: each row of `tests/cases/order` says what a request is, which hooks it has to call in
//! which order, what the upstream gets of it and what the client. How a row is written is said in `table/case.rs`.

mod case;
mod check;
mod stand;
mod upstreams;

use stand::Stand;

/// Rows of all files. One that is added is counted here, so that a file that is not read fails.
const ROWS: usize = 180;

#[tokio::test]
async fn every_row_calls_its_hooks_in_its_order() {
    let (mut ran, mut wrong) = (0, Vec::new());
    for cases in case::groups() {
        let stand = Stand::start(&cases).await;
        let mut outcomes = Vec::new();
        for case in &cases {
            outcomes.push(stand.run(case).await);
        }
        // Looked at only now: what a row did too late is among its lines, too.
        let mut traces = stand.traces();
        for (case, mut problems) in cases.iter().zip(outcomes) {
            let lines = traces.remove(&case.id()).unwrap_or_default();
            problems.extend(check::trace(case, &lines).err());
            if !problems.is_empty() {
                wrong.push(format!("{}: {}\n{}", case.file, case.name, problems.join("\n")));
            }
            ran += 1;
        }
        assert!(traces.is_empty(), "hooks of no row: {traces:?}");
        stand.shutdown().await;
    }
    assert!(
        wrong.is_empty(),
        "{} of {ran} rows are wrong\n\n{}\n",
        wrong.len(),
        wrong.join("\n\n")
    );
    assert_eq!(ran, ROWS, "rows that ran");
}
