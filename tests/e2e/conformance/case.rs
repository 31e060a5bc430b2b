//! A case as it is written down: requests one after the other, what each is answered, and what the upstream must
//! have seen of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// One case; several may be about the same row of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// Its row in the table, sent as `x-case`.
    pub(super) name: String,
    /// What this one shows, when there are several of the name.
    #[serde(default)]
    about: String,
    /// In order.
    pub(super) step: Vec<Step>,
}

/// One request and what has to come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Step {
    /// `x-case`, when it is not the case's name; "" = none is sent.
    pub(super) case: Option<String>,
    /// `x-arg`.
    pub(super) arg: Option<String>,
    #[serde(default = "get")]
    pub(super) method: String,
    #[serde(default = "main")]
    pub(super) target: String,
    /// Further request fields.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Values>,
    pub(super) body: Option<String>,
    /// The answer.
    pub(super) answer: Answer,
    /// The request as it reached an upstream.
    pub(super) upstream: Option<Upstream>,
    /// A line of the plugin in the gateway's log.
    pub(super) log: Option<Log>,
    /// Series of `/metrics` with their values.
    #[serde(default)]
    pub(super) metrics: BTreeMap<String, f64>,
    /// The answer may be another at first: what it tells of happens after an answer.
    #[serde(default)]
    pub(super) eventually: bool,
}

/// What has to be in an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Fields with all their values.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Values>,
    /// Fields that must not be there.
    #[serde(default)]
    pub(super) absent: Vec<String>,
    /// The whole body.
    pub(super) text: Option<String>,
    /// The whole body, or for a problem document some of its members; as a table, or as text.
    pub(super) json: Option<Value>,
}

/// What has to be in a request that an upstream got.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Upstream {
    /// `main`, `spare`, or `none`: no upstream saw the request.
    pub(super) name: String,
    pub(super) method: Option<String>,
    pub(super) target: Option<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Values>,
    #[serde(default)]
    pub(super) absent: Vec<String>,
    pub(super) body: Option<String>,
}

/// What has to be in a log line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) level: String,
    pub(super) message: String,
    pub(super) fields: String,
}

/// The values of one field.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Values {
    One(String),
    Many(Vec<String>),
}

impl Case {
    /// For messages.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.name, self.about).trim_end().to_owned()
    }

    /// The rows of the table that it runs.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let others = self.step.iter().filter_map(|step| step.case.as_deref());
        std::iter::once(self.name.as_str())
            .chain(others)
            .filter(|name| !name.is_empty() && *name != "none")
    }
}

impl Values {
    /// All of them, in order.
    pub(super) fn list(&self) -> Vec<&str> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values.iter().map(String::as_str).collect(),
        }
    }
}

/// Every case, file by file.
pub(super) fn all() -> Vec<Case> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        case: Vec<Case>,
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/conformance");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("a folder of cases")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    let cases = files.iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).expect("a readable file");
        let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        file.case
    });
    cases.collect()
}

fn get() -> String {
    "GET".to_owned()
}

fn main() -> String {
    "/main".to_owned()
}
