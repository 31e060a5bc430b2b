//! `schema`: the manual of the configuration, for editors and for people.

use portcullis_host::config::manual;
use portcullis_tests::gateway::binary::portcullis;
use serde_json::Value;
use tempfile::TempDir;

use super::Said;

#[tokio::test]
async fn schema_prints_the_schema_of_the_configuration() {
    let folder = TempDir::new().unwrap();
    let said: Said = portcullis(&["schema"], folder.path()).await.into();
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let schema: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema, manual::schema());
}

#[tokio::test]
async fn schema_prints_the_manual_for_people() {
    let folder = TempDir::new().unwrap();
    let said: Said = portcullis(&["schema", "--markdown"], folder.path()).await.into();
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(said.out, include_str!("../../../docs/configuration.md"));
}
