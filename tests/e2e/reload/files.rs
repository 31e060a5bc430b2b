//! The ways in which editors, copies and orchestrators change files.

use std::fs;
use std::os::unix::fs::symlink;

use portcullis_tests::artifact;
use portcullis_tests::gateway::folder::with_another_hash;
use portcullis_tests::{Gateway, Request, Upstream};

use super::{finish, hello, load, route, runs, toml, toml_with};

#[tokio::test]
async fn an_editor_renames_the_old_file_away() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let load = load(&gateway, "/hello", &["one", "two"]);
    let (file, backup) = (gateway.configuration(), gateway.path().join("portcullis.toml~"));
    let text = fs::read_to_string(&file).unwrap().replace("one", "two");
    fs::rename(&file, &backup).unwrap();
    fs::write(&file, text).unwrap();
    fs::remove_file(&backup).unwrap();
    gateway
        .wait_for_answer("/hello", |answer| answer.text() == "two")
        .await;
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn files_are_written_in_place() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let load = load(&gateway, "/hello", &["one", "two"]);
    let text = fs::read_to_string(gateway.configuration()).unwrap();
    fs::write(gateway.configuration(), text.replace("one", "two")).unwrap();
    gateway
        .wait_for_answer("/hello", |answer| answer.text() == "two")
        .await;
    let next = with_another_hash(&gateway.plugin_bytes("mock"), "next");
    fs::write(gateway.path().join("plugins/mock.wasm"), &next).unwrap();
    runs(&gateway, "mock", &next).await;
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_file_that_a_config_names_changes() {
    let upstream = Upstream::fixed(200, &[], "up");
    let gateway = Gateway::new()
        .plugin("mock")
        .upstream("up", &upstream)
        .file("texts/hello.txt", "one\n")
        .toml(&toml_with(
            "responses = [{ body = { file = \"texts/hello.txt\" } }]",
        ))
        .start()
        .await;
    let load = load(&gateway, "/hello", &["one", "two", "three"]);
    gateway.write_file("texts/hello.txt", b"two\n");
    gateway
        .wait_for_answer("/hello", |answer| answer.text() == "two")
        .await;
    fs::write(gateway.path().join("texts/hello.txt"), "three").unwrap();
    gateway
        .wait_for_answer("/hello", |answer| answer.text() == "three")
        .await;
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_file_is_added_to_those_of_a_pattern() {
    let upstream = Upstream::fixed(200, &[], "up");
    let gateway = Gateway::new()
        .plugin("auth-key")
        .upstream("up", &upstream)
        .file("keys/one.txt", "first")
        .toml("[plugins.auth-key]\nallow = { attributes = [\"auth.\"] }\n")
        .toml("config = { keys = { acme = { files = \"keys/*.txt\" } } }\n")
        .toml("[[routes]]\nname = \"all\"\npipeline = [\"auth-key\"]\nupstream = \"up\"\n")
        .start()
        .await;
    let status = async |key: &str| {
        let request = Request::get("/").header("x-api-key", key);
        gateway.send(&request).await.status
    };
    assert_eq!((status("first").await, status("second").await), (200, 401));
    let before = gateway.status().await;
    gateway.write_file("keys/two.txt", b"second");
    let before = super::next(&gateway, &before).await;
    assert_eq!((status("first").await, status("second").await), (200, 200));
    gateway.remove_file("keys/one.txt");
    super::next(&gateway, &before).await;
    assert_eq!((status("first").await, status("second").await), (401, 200));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_component_outside_of_the_plugin_folder_is_watched() {
    let upstream = Upstream::fixed(200, &[], "up");
    let good = fs::read(artifact::plugin("mock")).unwrap();
    let gateway = Gateway::new()
        .file("elsewhere/hello.wasm", good.clone())
        .upstream("up", &upstream)
        .toml(&toml("one").replacen("config", "wasm = \"elsewhere/hello.wasm\"\nconfig", 1))
        .start()
        .await;
    runs(&gateway, "mock", &good).await;
    let load = load(&gateway, "/hello", &["one"]);
    let next = with_another_hash(&good, "next");
    gateway.write_file("elsewhere/hello.wasm", &next);
    runs(&gateway, "mock", &next).await;
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_plugin_folder_is_replaced_as_a_whole() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let load = load(&gateway, "/hello", &["one"]);
    let good = gateway.plugin_bytes("mock");
    let [first, second] = ["first", "second"].map(|mark| with_another_hash(&good, mark));
    gateway.write_file("plugins.new/mock.wasm", &first);
    let folder = |name: &str| gateway.path().join(name);
    fs::rename(folder("plugins"), folder("plugins.old")).unwrap();
    fs::rename(folder("plugins.new"), folder("plugins")).unwrap();
    runs(&gateway, "mock", &first).await;
    // The new folder is watched as the old one was.
    gateway.replace_plugin("mock", &second);
    runs(&gateway, "mock", &second).await;
    finish(load).await;
    gateway.shutdown().await;
}

/// Kubernetes mounts a ConfigMap as links to files behind a link `..data`, which it replaces.
#[tokio::test]
async fn a_link_to_the_folder_of_all_files_is_replaced() {
    let (_upstream, builder) = hello("one");
    let gateway = builder.start().await;
    let load = load(&gateway, "/hello", &["one", "two", "three"]);
    let text = fs::read_to_string(gateway.configuration()).unwrap();
    for (version, body) in [("..v1", "two"), ("..v2", "three")] {
        let file = format!("{version}/portcullis.toml");
        gateway.write_file(&file, text.replace("one", body).as_bytes());
        let folder = gateway.path();
        symlink(version, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        if version == "..v1" {
            symlink("..data/portcullis.toml", folder.join("link")).unwrap();
            fs::rename(folder.join("link"), gateway.configuration()).unwrap();
        }
        gateway
            .wait_for_answer("/hello", |answer| answer.text() == body)
            .await;
    }
    finish(load).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_folder_for_plugins_that_is_made_later_is_watched() {
    let upstream = Upstream::fixed(200, &[], "up");
    let good = fs::read(artifact::plugin("mock")).unwrap();
    let gateway = Gateway::new()
        .upstream("up", &upstream)
        .gateway("plugin-dir = \"later/plugins\"")
        .toml(&(toml("one") + &route("more", "\"up\"")))
        .allow_errors()
        .start()
        .await;
    assert_eq!(gateway.get("/hello").await.status, 503);
    gateway.write_file("later/plugins/mock.wasm", &good);
    runs(&gateway, "mock", &good).await;
    let next = with_another_hash(&good, "next");
    gateway.write_file("later/plugins/mock.wasm", &next);
    runs(&gateway, "mock", &next).await;
    gateway.shutdown().await;
}
