//! Messages that break a rule of HTTP/1.1, as a table: each row of `tests/cases/malformed` says which bytes come, what
//! is made of them, and what reaches the other side, byte for byte. How a row is written is said in
//! `malformed/case.rs`.

mod case;
mod requests;
mod responses;

/// Rows of all files. One that is added is counted here, so that a file that is not read fails.
const REQUESTS: usize = 228;
const RESPONSES: usize = 97;

#[tokio::test]
async fn every_malformed_request_is_refused_or_normalised_and_is_never_two() {
    report(requests::run().await, REQUESTS);
}

#[tokio::test]
async fn every_malformed_response_is_refused_or_normalised_and_ends_where_it_should() {
    report(responses::run().await, RESPONSES);
}

fn report((ran, wrong): (usize, Vec<String>), expected: usize) {
    assert!(
        wrong.is_empty(),
        "{} of {ran} rows are wrong\n\n{}\n",
        wrong.len(),
        wrong.join("\n\n")
    );
    assert_eq!(ran, expected, "rows that ran");
}
