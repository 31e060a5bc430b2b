//! Configurations of several parts: included files and named lists, and what happens when they change.

use std::fs;

use portcullis_tests::gateway::site::Site;
use portcullis_tests::{Gateway, GatewayBuilder, Request, Upstream};

/// The main file with this pipeline of the listener; the harness's own tables are in it, for `include` stands before all
/// tables.
fn main(upstream: &Upstream, pipeline: &str) -> String {
    format!(
        "include = [\"routes.d/*.toml\"]\n\
         [gateway]\nadmin = \"127.0.0.1:0\"\n\
         [listeners.public]\naddress = \"127.0.0.1:0\"\npipeline = [{pipeline}]\n\
         [upstreams.up]\nendpoints = [\"{}\"]\n{}",
        upstream.address(),
        route("main")
    )
}

/// A route for what begins with its name.
fn route(name: &str) -> String {
    format!("[[routes]]\nname = \"{name}\"\nmatch = {{ prefix = \"/{name}\" }}\nupstream = \"up\"\n")
}

fn started(upstream: &Upstream) -> GatewayBuilder {
    Gateway::new()
        .file("routes.d/a.toml", route("a"))
        .toml(&main(upstream, ""))
}

async fn becomes(site: &Site, target: &str, status: u16) {
    site.wait_for_answer(target, |answer| answer.status == status)
        .await;
}

#[tokio::test]
async fn an_included_file_changes_appears_and_disappears() {
    let upstream = Upstream::fixed(200, &[], "up");
    let gateway = started(&upstream).start().await;
    assert_eq!(gateway.get("/a").await.status, 200);
    assert_eq!(gateway.get("/b").await.status, 404);
    gateway.write_file("routes.d/b.toml", route("b").as_bytes());
    becomes(&gateway, "/b", 200).await;
    gateway.write_file("routes.d/a.toml", route("c").as_bytes());
    becomes(&gateway, "/c", 200).await;
    assert_eq!(gateway.get("/a").await.status, 404);
    gateway.remove_file("routes.d/b.toml");
    becomes(&gateway, "/b", 404).await;
    assert_eq!(gateway.get("/main").await.status, 200);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_folder_of_included_files_may_be_made_later_and_be_replaced() {
    let upstream = Upstream::fixed(200, &[], "up");
    let gateway = Gateway::new().toml(&main(&upstream, "")).start().await;
    assert_eq!(gateway.get("/a").await.status, 404);
    gateway.write_file("routes.d/a.toml", route("a").as_bytes());
    becomes(&gateway, "/a", 200).await;
    gateway.write_file("routes.new/b.toml", route("b").as_bytes());
    let folder = |name: &str| gateway.path().join(name);
    fs::rename(folder("routes.d"), folder("routes.old")).unwrap();
    fs::rename(folder("routes.new"), folder("routes.d")).unwrap();
    becomes(&gateway, "/b", 200).await;
    assert_eq!(gateway.get("/a").await.status, 404);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_broken_included_file_changes_nothing_and_is_named() {
    let upstream = Upstream::fixed(200, &[], "up");
    let gateway = started(&upstream).allow_errors().start().await;
    for (text, place) in [
        ("[[routes]\n".to_owned(), "routes.d/b.toml:1:"),
        (route("a"), "routes.d/b.toml:2:8"),
        ("[gateway]\nworkers = 1\n".to_owned(), "routes.d/b.toml:1:2"),
    ] {
        gateway.write_file("routes.d/b.toml", text.as_bytes());
        gateway
            .wait_for(|status| {
                let last = &status["last-reload"];
                let problems = last["problems"].as_str().unwrap_or_default();
                last["result"] == "rejected" && problems.contains(place)
            })
            .await;
        assert_eq!(gateway.get("/a").await.status, 200);
    }
    gateway.write_file("routes.d/b.toml", route("b").as_bytes());
    becomes(&gateway, "/b", 200).await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn included_files_in_folders_of_a_pattern_are_watched() {
    let upstream = Upstream::fixed(200, &[], "up");
    let toml = main(&upstream, "").replace("routes.d/*.toml", "teams/*/routes.toml");
    let gateway = Gateway::new().toml(&toml).start().await;
    gateway.write_file("teams/one/routes.toml", route("one").as_bytes());
    becomes(&gateway, "/one", 200).await;
    gateway.write_file("teams/two/routes.toml", route("two").as_bytes());
    becomes(&gateway, "/two", 200).await;
    gateway.write_file("teams/one/routes.toml", route("three").as_bytes());
    becomes(&gateway, "/three", 200).await;
    assert_eq!(gateway.get("/one").await.status, 404);
    gateway.shutdown().await;
}

const KEYS: &str = "[plugins.auth-key]\nallow = { attributes = [\"auth.\"] }\nconfig = { keys = { acme = \"one\" } }\n\
                    [pipelines]\nbase = [\"@keys\"]\n\
                    keys = [{ plugin = \"auth-key\", config = { keys = { acme = \"two\" } } }]\n";

#[tokio::test]
async fn a_named_list_of_another_file_runs_and_is_swapped() {
    let upstream = Upstream::fixed(200, &[], "up");
    let toml = main(&upstream, "\"@base\"")
        + "[[routes]]\nname = \"r\"\nmatch.prefix = \"/r\"\nupstream = \"up\"\ninherit = false\npipeline = [\"@base\"]\n";
    // The component only: the entry is in the included file.
    let mock = fs::read(portcullis_tests::artifact::plugin("auth-key")).unwrap();
    let gateway = Gateway::new()
        .file("plugins/auth-key.wasm", mock)
        .file("routes.d/keys.toml", KEYS)
        .toml(&toml)
        .start()
        .await;
    let with = async |target: &str, key: &str| {
        let request = Request::get(target).header("x-api-key", key);
        gateway.send(&request).await.status
    };
    for target in ["/main", "/r"] {
        assert_eq!((with(target, "one").await, with(target, "two").await), (401, 200));
    }
    // One entry for both users of the list.
    let status = gateway.status().await;
    let plugins = status["plugins"].as_array().unwrap();
    let names: Vec<_> = plugins
        .iter()
        .map(|plugin| plugin["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["auth-key", "auth-key@pipelines.keys#0"]);
    gateway.write_file(
        "routes.d/keys.toml",
        KEYS.replace("[\"@keys\"]", "[\"auth-key\"]").as_bytes(),
    );
    gateway
        .wait_for(|now| now["generation"].as_u64() > status["generation"].as_u64())
        .await;
    for target in ["/main", "/r"] {
        assert_eq!((with(target, "one").await, with(target, "two").await), (200, 401));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_is_doubtful_is_logged_with_its_place() {
    let upstream = Upstream::fixed(200, &[], "up");
    let gateway = started(&upstream)
        .file(
            "routes.d/z.toml",
            route("a").replace("name = \"a\"", "name = \"z\"") + "[pipelines]\nnobody = []\n",
        )
        .start()
        .await;
    let lines: Vec<String> = gateway.logs().iter().map(|line| format!("{line:?}")).collect();
    for part in [
        "no request can reach route `z`",
        "nothing uses pipeline `nobody`",
        "routes.d/z.toml:6:1",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(part)),
            "{part} in {lines:#?}"
        );
    }
    gateway.shutdown().await;
}
