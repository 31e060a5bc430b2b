//! What arrived, as JSON.

use std::collections::BTreeMap;

use portcullis::serde_json::{Value, json};
use portcullis::{Blob, Request, headers};

/// Method, path, query, headers (each a list of its values) and the length of the body.
pub(crate) fn of(request: &Request, body: &Blob) -> Value {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in request.headers().iter() {
        fields
            .entry(name.to_owned())
            .or_default()
            .push(headers::to_text(value));
    }
    json!({
        "method": request.method(),
        "path": request.path(),
        "query": request.query(),
        "headers": fields,
        "body-length": body.len(),
    })
}
