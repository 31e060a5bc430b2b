//! The harness of the end-to-end tests: gateways to test, upstreams that do as they are told, a strict HTTP
//! client, and load. Knows the gateway by its public face only: `Gateway::start`, the binary, the configuration
//! file, the plugin folder and the admin listener.
//!
//! ```no_run
//! # use portcullis_tests::{Gateway, Upstream};
//! # async fn example() {
//! let orders = Upstream::echo();
//! let gateway = Gateway::new()
//!     .plugin("auth-key")
//!     .upstream("orders", &orders)
//!     .toml(r#"
//!         [plugins.auth-key]
//!         config = { keys = { acme = "secret" } }
//!
//!         [[routes]]
//!         name = "orders"
//!         match = { prefix = "/orders" }
//!         pipeline = ["auth-key"]
//!         upstream = "orders"
//!     "#)
//!     .start()
//!     .await;
//! assert_eq!(gateway.get("/orders/7").await.status, 401);
//! gateway.shutdown().await;
//! # }
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test harness: a panic is how it says that a test failed"
)]

pub mod artifact;
pub mod client;
pub mod dns;
pub mod endpoint;
pub mod errors;
pub mod gateway;
pub mod http2;
pub mod load;
pub mod message;
pub mod patience;
pub mod port;
pub mod redis;
pub mod request;
pub mod tls;
pub mod upstream;
pub mod websocket;
pub mod wire;

pub use crate::client::{Answer, Connection};
pub use crate::gateway::Gateway;
pub use crate::gateway::binary::BinaryGateway;
pub use crate::gateway::builder::GatewayBuilder;
pub use crate::load::Load;
pub use crate::redis::Redis;
pub use crate::request::Request;
pub use crate::upstream::Upstream;
