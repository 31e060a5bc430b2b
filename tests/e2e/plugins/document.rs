//! The example of a plugin's README, as the gateway loads it: only what a test cannot have (fixed addresses) is
//! another.

use portcullis_tests::{Gateway, GatewayBuilder};

/// The one block of TOML in the text.
fn example(readme: &str) -> &str {
    let mut blocks = readme.split("```toml\n").skip(1);
    let block = blocks.next().and_then(|rest| rest.split("```").next());
    assert!(blocks.next().is_none(), "one example");
    block.expect("an example")
}

/// A gateway of the example; `endpoint` takes the place of its upstream's.
pub(super) fn of(plugin: &str, readme: &str, endpoint: Option<&str>) -> GatewayBuilder {
    let mut toml = example(readme).replace("127.0.0.1:8080", "127.0.0.1:0");
    if let Some(endpoint) = endpoint {
        assert!(toml.contains("127.0.0.1:9001"), "{toml}");
        toml = toml.replace("127.0.0.1:9001", endpoint);
    }
    for table in ["[gateway]", "[listeners.public]", &format!("[plugins.{plugin}]")] {
        assert!(toml.contains(table), "{table} in {toml}");
    }
    Gateway::new().plugin(plugin).toml(&toml)
}
