//! What nearly every plugin needs: `use portcullis::prelude::*;`.

pub use crate::{
    Action, Answer, Blob, BodyAction, Candidates, Content, Endpoint, ErrorAction, Finished, GatewayError,
    NoConfig, Plugin, Problem, Refusal, Reply, Request, Response, ResponseAction, ResponseBodyAction, Side,
    Strings, log,
};
pub use schemars::JsonSchema;
pub use serde::{Deserialize, Serialize};
