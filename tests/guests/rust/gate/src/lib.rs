//! Test guest `gate`: the smallest useful pair of hooks, for benchmarks. A key in, a consumer out, one header on the way
//! back. It keeps its keys in plain text: no example of how to do it (that is `auth-key`).

use std::collections::HashMap;

use portcullis::prelude::*;

/// Configuration: consumer by key.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// Consumer by key.
    #[serde(default)]
    pub keys: HashMap<String, String>,
}

/// The guest.
#[derive(Debug)]
pub struct Gate {
    keys: HashMap<String, String>,
}

#[portcullis::plugin(name = "gate")]
impl Plugin for Gate {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        Ok(Self { keys: config.keys })
    }

    fn schema() -> String {
        // Written by hand to keep the benchmarked component small.
        r#"{ "properties": { "keys": { "additionalProperties": { "type": "string" } } } }"#.to_owned()
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action, Problem> {
        match request.header("x-api-key").and_then(|key| self.keys.get(&key)) {
            Some(consumer) => {
                request.set_header("x-consumer", consumer)?;
                Ok(Action::Next)
            }
            None => Ok(Action::refuse(Refusal::new(
                401,
                "key-invalid",
                "the API key is not valid",
            ))),
        }
    }

    fn on_response(&mut self, response: &mut Response) -> Result<(), Problem> {
        response.set_header("x-gateway", "1")
    }
}

#[cfg(test)]
mod tests {
    use portcullis::{serde_json::json, testing};

    use super::*;

    #[test]
    fn a_known_key_passes() {
        let mut gate: Gate = testing::configure(json!({ "keys": { "key-0": "consumer-0" } })).unwrap();
        let mut exchange = testing::exchange().header("x-api-key", "key-0").response(200);
        assert!(exchange.on_request(&mut gate).is_next());
        exchange.on_response(&mut gate);
        assert_eq!(exchange.request_header("x-consumer"), Some("consumer-0"));
        assert_eq!(exchange.response_header("x-gateway"), Some("1"));
        assert_eq!(
            testing::exchange()
                .on_request(&mut gate)
                .refusal()
                .map(|refusal| refusal.status),
            Some(401)
        );
    }
}
