//! Clients that speak HTTP/2.

use std::net::SocketAddr;

use portcullis_tests::{Gateway, GatewayBuilder};

mod calls;
mod drain;
mod exchanges;
mod floods;
mod goaway;
mod health;
mod malformed;
mod onward_tunnels;
mod protocols;
mod recourse;
mod secured;
mod small_frames;
mod streams;
mod tunnels;
mod upstreams;
mod websocket;

/// One worker and one route for everything.
fn front(upstream: SocketAddr) -> GatewayBuilder {
    Gateway::new()
        .workers(1)
        .upstream_with("up", &[upstream], "")
        .toml("[[routes]]\nname = \"all\"\nupstream = \"up\"\n")
}
