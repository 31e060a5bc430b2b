//! A row as it is written down. Text stands for bytes: each character U+0000 to U+00FF is one.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What the gateway adds to a forwarded request of host `a`; written `<added>` in rows.
const ADDED: &str = "x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\nx-forwarded-host: a\r\n\
                     via: 1.1 portcullis\r\n";

/// A request, and what comes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RequestCase {
    pub(super) name: String,
    /// What the client sends, at once.
    pub(super) send: Text,
    /// The client ends its sending side behind it.
    #[serde(default)]
    pub(super) half_close: bool,
    /// The method that the first answer is read by.
    #[serde(default = "get")]
    pub(super) method: String,
    /// Final answers in order: the status and, for an error of the gateway's own, its code.
    pub(super) answers: Vec<String>,
    /// What becomes of the client's connection.
    #[serde(default)]
    pub(super) end: End,
    /// What reached the upstream, a text for each connection, which carries one exchange.
    #[serde(default)]
    pub(super) upstream: Vec<Text>,
    /// How much of that is sent depends on how the bytes come in: it may be any beginning of it.
    #[serde(default)]
    pub(super) or_less: bool,
}

/// A response, and what comes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ResponseCase {
    pub(super) name: String,
    /// The method that it answers.
    #[serde(default = "get")]
    pub(super) method: String,
    /// The request asks for this upgrade.
    pub(super) asks: Option<String>,
    /// What the upstream sends, at once.
    pub(super) send: Text,
    /// The upstream ends the connection behind it.
    #[serde(default)]
    pub(super) close: bool,
    /// What the client gets: the status and, for an error of the gateway's own, its code; behind it `cut` when the body
    /// does not end as announced.
    pub(super) answer: String,
    /// The whole body, where it is not the gateway's own.
    pub(super) text: Option<Text>,
    /// Lines that the answer's head must have, as written.
    #[serde(default)]
    pub(super) has: Vec<String>,
    /// Fields that the answer's head must not have.
    #[serde(default)]
    pub(super) absent: Vec<String>,
    /// What becomes of the client's connection.
    #[serde(default = "kept")]
    pub(super) client: End,
    /// What becomes of the upstream's.
    #[serde(default)]
    pub(super) upstream: End,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum End {
    /// It takes another exchange.
    Kept,
    /// It is closed.
    #[default]
    Closed,
    /// One or the other, as the bytes come in.
    Either,
}

/// Bytes, in one piece or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Text {
    One(String),
    Parts(Vec<Part>),
}

/// A piece of a long text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Part {
    Plain(String),
    Repeated { repeat: String, times: usize },
}

fn get() -> String {
    "GET".to_owned()
}

fn kept() -> End {
    End::Kept
}

impl Text {
    /// The bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let text = match self {
            Self::One(text) => text.clone(),
            Self::Parts(parts) => parts.iter().map(Part::text).collect(),
        };
        text.replace("<added>", ADDED)
            .chars()
            .map(|c| u8::try_from(u32::from(c)).expect("characters of one byte"))
            .collect()
    }
}

impl Part {
    fn text(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Repeated { repeat, times } => repeat.repeat(*times),
        }
    }
}

/// Bytes as they would be written in a row.
pub(super) fn written(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    format!("{:?}", text.replace(ADDED, "<added>"))
}

/// The rows of all files in a folder, each with the name of its file in front of its own.
pub(super) fn all<T: DeserializeOwned>(folder: &str, mut name: impl FnMut(&mut T) -> &mut String) -> Vec<T> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File<T> {
        case: Vec<T>,
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("cases/malformed")
        .join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("a folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a file of cases");
        let file: File<T> =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        cases.extend(file.case.into_iter().map(|mut case| {
            let name = name(&mut case);
            *name = format!("{stem}: {name}");
            case
        }));
    }
    cases
}
