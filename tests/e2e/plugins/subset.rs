//! Plugin `subset`, end to end.

use portcullis_tests::{Request, Upstream};

use super::document;

const README: &str = include_str!("../../../plugins/subset/README.md");

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let [gold, silver] = ["gold", "silver"].map(|tier| Upstream::fixed(200, &[], tier));
    let readme = README.replace("127.0.0.1:9002", &silver.address().to_string());
    let gateway = document::of("subset", &readme, Some(&gold.address().to_string()))
        .start()
        .await;
    for (tier, expected) in [
        (Some("gold"), "gold"),
        (Some("silver"), "silver"),
        (Some("iron"), "silver"),
        (None, "silver"),
    ] {
        for _ in 0..5 {
            let request = Request::get("/v1/orders");
            let request = match tier {
                Some(tier) => request.header("x-tier", tier),
                None => request,
            };
            let answer = gateway.send(&request).await;
            assert_eq!((answer.status, answer.text()), (200, expected), "{tier:?}");
        }
    }
    // What cannot be connected is passed over, though nobody else fits.
    gold.stop();
    let answer = gateway
        .send(&Request::get("/v1/orders").header("x-tier", "gold"))
        .await;
    assert_eq!((answer.status, answer.text()), (200, "silver"));
    gateway.shutdown().await;
}
