//! A core module with component types inside, as linkers make for wasm32-unknown-unknown, in the place of a component. It is
//! written by hand: a toolchain for that target is not on every machine.

use std::path::Path;

use portcullis_tests::gateway::binary::portcullis;
use portcullis_tests::{Gateway, Request, Upstream};
use tempfile::TempDir;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Its world: what a guest's `wit_bindgen::generate!` would be given.
const WORLD: &str = "package test:core;
world core {
    include portcullis:gateway/imports@0.1.0-draft;
    export portcullis:gateway/plugin@0.1.0-draft;
    export portcullis:gateway/on-request@0.1.0-draft;
}";

/// The module: it sets `x-core` of the request to its configuration.
fn bare() -> Vec<u8> {
    wat::parse_str(include_str!("core_module.wat")).unwrap()
}

/// The same with the types that bindings leave in it.
fn module() -> Vec<u8> {
    let mut resolve = Resolve::default();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    resolve.push_dir(&contract).unwrap();
    let package = resolve.push_str("core.wit", WORLD).unwrap();
    let world = resolve.select_world(&[package], Some("core")).unwrap();
    let mut bytes = bare();
    embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8).unwrap();
    bytes
}

const ROUTE: &str = "[plugins.core]\nconfig = { mark = 1 }\n\
     [[routes]]\nname = \"all\"\npipeline = [\"core\"]\nupstream = \"up\"\n";

#[tokio::test]
async fn a_core_module_with_component_types_serves_as_a_plugin() {
    let upstream = Upstream::echo();
    let gateway = Gateway::new()
        .file("plugins/core.wasm", module())
        .upstream("up", &upstream)
        .toml(ROUTE)
        .start()
        .await;
    let answer = gateway.send(&Request::get("/")).await;
    assert_eq!(answer.status, 200);
    let seen = upstream.requests();
    assert_eq!(seen[0].header("x-core"), Some("{\"mark\":1}"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_core_module_without_component_types_says_what_to_do() {
    let upstream = Upstream::echo();
    let gateway = Gateway::new()
        .file("plugins/core.wasm", bare())
        .upstream("up", &upstream)
        .toml(ROUTE)
        .allow_errors()
        .start()
        .await;
    assert_eq!(gateway.send(&Request::get("/")).await.status, 503);
    let status = gateway.status().await.to_string();
    assert!(
        status.contains("no component types inside") && status.contains("wasm32-wasip2"),
        "{status}"
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn inspect_shows_a_core_module_as_one() {
    let folder = TempDir::new().unwrap();
    let bytes = module();
    std::fs::write(folder.path().join("core.wasm"), &bytes).unwrap();
    let said = portcullis(&["inspect", "core.wasm"], folder.path()).await;
    let out = String::from_utf8(said.stdout).unwrap();
    assert!(out.starts_with("plugin   core 1.0.0\n"), "{out}");
    assert!(
        out.contains(&format!("core.wasm ({} bytes, a core module)", bytes.len())),
        "{out}"
    );
    assert!(out.contains("hooks    on-request\n"), "{out}");
}
