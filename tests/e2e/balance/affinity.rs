//! Requests that belong to an endpoint: by a key, or by a cookie.

use portcullis_tests::{Gateway, Request, Upstream};

use super::{endpoints, front, servers};

/// The upstream that a request with this header goes to.
async fn goes_to(gateway: &Gateway, servers: &[Upstream], name: &str, value: &str) -> usize {
    let before = super::counts(servers);
    let answer = gateway.send(&Request::get("/").header(name, value)).await;
    assert_eq!(answer.status, 200);
    let after = super::counts(servers);
    (0..servers.len())
        .find(|&at| after[at] > before[at])
        .expect("one of them")
}

#[tokio::test]
async fn a_key_goes_to_the_same_endpoint_in_every_worker_and_moves_only_when_that_is_gone() {
    for policy in ["ring-hash", "maglev"] {
        let servers = servers::<3>();
        let keys = format!(
            "{}\nbalance = {{ policy = '{policy}', hash-on = 'header:x-user' }}",
            endpoints(&servers)
        );
        let gateway = front(&keys).workers(3).start().await;
        let users: Vec<String> = (0..24).map(|user| format!("user-{user}")).collect();
        let mut homes = Vec::new();
        for user in &users {
            homes.push(goes_to(&gateway, &servers, "x-user", user).await);
        }
        assert!(
            (0..3).all(|server| homes.contains(&server)),
            "{policy}: {homes:?}"
        );
        // A connection each: the workers take them by chance.
        for _ in 0..3 {
            for (user, home) in users.iter().zip(&homes) {
                assert_eq!(
                    goes_to(&gateway, &servers, "x-user", user).await,
                    *home,
                    "{policy} {user}"
                );
            }
        }
        servers[0].stop();
        for (user, home) in users.iter().zip(&homes) {
            let now = goes_to(&gateway, &servers, "x-user", user).await;
            assert!(
                now == *home || (*home == 0 && now != 0),
                "{policy} {user}: {home} to {now}"
            );
        }
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn paths_queries_cookies_and_addresses_are_keys_too() {
    for (hash_on, one, other) in [
        ("path", Request::get("/a?x=1"), Request::get("/a?x=2")),
        ("query:q", Request::get("/a?q=1"), Request::get("/b?p=0&q=1")),
        (
            "cookie:sid",
            Request::get("/").header("cookie", "sid=7"),
            Request::get("/b").header("cookie", "a=b; sid=7"),
        ),
        ("client-ip", Request::get("/a"), Request::get("/b")),
    ] {
        let servers = servers::<5>();
        let keys = format!(
            "{}\nbalance = {{ policy = 'maglev', hash-on = '{hash_on}' }}",
            endpoints(&servers)
        );
        let gateway = front(&keys).start().await;
        for request in [&one, &other, &one, &other] {
            assert_eq!(gateway.send(request).await.status, 200);
        }
        let mut counts = super::counts(&servers);
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 0, 0, 4], "{hash_on}");
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_request_without_the_key_goes_anywhere() {
    let servers = servers::<2>();
    let keys = format!(
        "{}\nbalance = {{ policy = 'ring-hash', hash-on = 'header:x-user' }}",
        endpoints(&servers)
    );
    let gateway = front(&keys).workers(1).start().await;
    for _ in 0..4 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert_eq!(super::counts(&servers), [2, 2]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_cookie_keeps_a_client_with_its_endpoint_until_that_is_gone() {
    let servers = servers::<3>();
    let keys = format!(
        "{}\nsticky = {{ cookie = 'srv', ttl = '1h', path = '/shop' }}",
        endpoints(&servers)
    );
    let gateway = front(&keys).start().await;
    let first = gateway.get("/").await;
    let cookie = first.header("set-cookie").expect("a cookie").to_owned();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/shop; Max-Age=3600; SameSite=Lax; HttpOnly");
    let home = (0..3).find(|&at| !servers[at].requests().is_empty()).unwrap();
    for _ in 0..6 {
        let answer = gateway.send(&Request::get("/").header("cookie", pair)).await;
        assert_eq!(answer.header("set-cookie"), None);
    }
    assert_eq!(servers[home].requests().len(), 7);
    // One of nobody's is replaced.
    let strange = gateway
        .send(&Request::get("/").header("cookie", "srv=0123456789abcdef"))
        .await;
    assert!(strange.header("set-cookie").is_some());
    servers[home].stop();
    let moved = gateway.send(&Request::get("/").header("cookie", pair)).await;
    assert_eq!(moved.status, 200);
    let next = moved.header("set-cookie").expect("another cookie");
    assert!(!next.starts_with(pair));
    gateway.shutdown().await;
}
