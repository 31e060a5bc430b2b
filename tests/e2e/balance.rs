//! Which endpoint a request goes to: policies, weights, zones, keys, cookies, and names that DNS resolves.

use portcullis_tests::{Gateway, GatewayBuilder, Upstream};

mod affinity;
mod names;
mod shares;

/// One route, to the upstream `up` with these keys.
fn front(keys: &str) -> GatewayBuilder {
    Gateway::new().toml(&format!(
        "[upstreams.up]\n{keys}\n[[routes]]\nname = \"all\"\nupstream = \"up\"\n"
    ))
}

/// `endpoints` with these upstreams.
fn endpoints(upstreams: &[Upstream]) -> String {
    let all: Vec<_> = upstreams
        .iter()
        .map(|upstream| format!("'{}'", upstream.address()))
        .collect();
    format!("endpoints = [{}]", all.join(", "))
}

/// How many requests each had.
fn counts(upstreams: &[Upstream]) -> Vec<usize> {
    upstreams
        .iter()
        .map(|upstream| upstream.requests().len())
        .collect()
}

/// So many upstreams that answer at once.
fn servers<const N: usize>() -> [Upstream; N] {
    std::array::from_fn(|_| Upstream::fixed(200, &[], "ok"))
}
