//! What a plugin is: what it says about itself, its typed configuration, its constructor. Knows no hook.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A plugin. Write the impl under [`#[portcullis::plugin]`](crate::plugin), which fills in what is left out and exports
/// the hooks whose methods stand in the same block.
pub trait Plugin: Sized + 'static {
    /// The entry's `config`; [`NoConfig`] when left out.
    type Config: DeserializeOwned + JsonSchema;
    /// What a hook keeps for the later hooks of the same exchange; `()` when left out.
    type State: Serialize + DeserializeOwned + 'static;

    /// Name, version and labels; the attribute writes it.
    const ABOUT: About;

    /// Makes the plugin from its configuration; never on the request path, so costly parsing belongs here. The host may
    /// copy the configured instance: take random numbers from [`random`](crate::random), not from here.
    ///
    /// # Errors
    /// What is wrong with the configuration, for the operator to read. At a reload the last good one stays.
    fn new(config: Self::Config) -> Result<Self, String>;

    /// JSON Schema (2020-12) of the configuration; derived from [`Config`](Self::Config) when left out.
    #[must_use]
    fn schema() -> String {
        schema_of::<Self::Config>()
    }

    /// OpenAPI 3.1 fragment (JSON) that this plugin adds to the API document; "" when left out.
    #[must_use]
    fn openapi() -> String {
        String::new()
    }
}

/// What a plugin says about itself.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Name, lower case.
    pub name: &'static str,
    /// Version of the plugin.
    pub version: &'static str,
    /// Default period of `on_tick` in milliseconds; 0 = none.
    pub tick_ms: u32,
    /// `security` = may not be skipped on a fault; `state-version` = a change of it clears `shared` ...
    pub labels: &'static [(&'static str, &'static str)],
}

/// The configuration of a plugin that has none: the empty table.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Makes the plugin from the JSON text that `configure` brings.
pub(crate) fn configure<P: Plugin>(config: &str) -> Result<P, String> {
    let config = if config.is_empty() { "{}" } else { config };
    let config = serde_json::from_str(config).map_err(|error| explain(&error))?;
    P::new(config)
}

/// What serde says, without the position: the text is the host's, no file of the operator's.
fn explain(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    if text.ends_with(&position) {
        text.truncate(text.len() - position.len());
    }
    text
}

/// The JSON Schema of a configuration type.
pub(crate) fn schema_of<C: JsonSchema>() -> String {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<C>();
    schema.as_value().to_string()
}
