//! Clients that come back.

use portcullis_tests::tls::{Authority, Dialer, TLS12, TLS13};

use super::{echo, get};

/// Connections, so many that each worker has had some.
const MANY: usize = 24;

const RESUMED: &str = "portcullis_listener_tls_handshakes_total{listener=\"public\",result=\"resumed\"}";

#[tokio::test]
async fn a_session_goes_on_at_any_worker() {
    let authority = Authority::new("test");
    for versions in [TLS12, TLS13] {
        let (_upstream, builder) = echo(&authority);
        let gateway = builder.workers(2).start().await;
        let dialer = Dialer::to(gateway.address(), &authority, "site.example")
            .versions(versions)
            .start();
        for _ in 0..MANY {
            assert_eq!(get(&dialer, "/").await.status, 200);
        }
        let resumed = dialer.seen().iter().filter(|dialled| dialled.resumed).count();
        assert_eq!(resumed, MANY - 1, "{:?}", dialer.seen());
        assert_eq!(gateway.metric(RESUMED).await, Some((MANY - 1) as f64));
        gateway.shutdown().await;
    }
}

#[tokio::test]
async fn a_session_goes_on_after_a_reload_of_the_certificate() {
    let authority = Authority::new("test");
    let (_upstream, builder) = echo(&authority);
    let gateway = builder.start().await;
    let dialer = Dialer::to(gateway.address(), &authority, "site.example").start();
    assert_eq!(get(&dialer, "/").await.status, 200);
    let before = gateway.status().await;
    let next = authority.sign(&["site.example"]);
    gateway.write_file("0.pem", next.pem.as_bytes());
    gateway.write_file("0.key", next.key.as_bytes());
    gateway
        .wait_for(|status| status["generation"].as_u64() > before["generation"].as_u64())
        .await;
    assert_eq!(get(&dialer, "/").await.status, 200);
    assert!(dialer.last().resumed);
    gateway.shutdown().await;
}

#[tokio::test]
async fn no_session_goes_on_where_that_is_turned_off() {
    let authority = Authority::new("test");
    for versions in [TLS12, TLS13] {
        let (_upstream, builder) = echo(&authority);
        let gateway = builder.listener("tls.resumption = false").start().await;
        let dialer = Dialer::to(gateway.address(), &authority, "site.example")
            .versions(versions)
            .start();
        for _ in 0..4 {
            assert_eq!(get(&dialer, "/").await.status, 200);
        }
        assert!(dialer.seen().iter().all(|dialled| !dialled.resumed));
        gateway.shutdown().await;
    }
}
