//! A row as it is written down. It refuses to know how it is run.
//!
//! A row has a route of its own, `/ROW`, where ROW is its name with dashes for blanks; the pipelines, the upstream and
//! further keys of the route are written as in a configuration. The entries that there are to write are those of `stand.rs`,
//! the upstreams those of `upstreams.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use portcullis_tests::Request;
use serde::Deserialize;
use toml::{Table, Value};

/// One row.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// Where it is written.
    #[serde(skip)]
    pub(super) file: String,
    /// The behaviour that it shows: words of letters and digits.
    pub(super) name: String,
    /// Pipeline of the listener.
    #[serde(default)]
    pub(super) listener: Vec<Value>,
    /// Pipeline of the route.
    #[serde(default = "abc")]
    pub(super) pipeline: Vec<Value>,
    /// Target of the route.
    #[serde(default = "main")]
    pub(super) upstream: Value,
    /// Further keys of the route.
    #[serde(default)]
    pub(super) route: Table,
    /// What the client sends; `GET /ROW` unless said otherwise.
    #[serde(default)]
    pub(super) request: Asked,
    /// Orders to the guest `trace`.
    #[serde(default, rename = "do")]
    pub(super) orders: Vec<String>,
    /// What the client does then.
    #[serde(default)]
    pub(super) client: Client,
    /// The calls in order: `ENTRIES HOOK DETAIL`, one call for each of the entries. Of the detail as many words as matter.
    hooks: Vec<String>,
    /// What hooks read, and their edits that were not `ok`: `ENTRY HOOK VERB=RESULT`, in order.
    #[serde(default)]
    pub(super) told: Vec<String>,
    /// The requests as they reached upstreams, which are none unless said otherwise.
    #[serde(default)]
    pub(super) sent: Vec<Sent>,
    /// What the client gets; none for one that leaves before.
    pub(super) answer: Option<Got>,
    /// By how much series of `/metrics` grow, in whose labels ROW stands for the row.
    #[serde(default)]
    pub(super) counts: BTreeMap<String, f64>,
}

/// What a client sends.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// GET, or POST with a body.
    method: Option<String>,
    /// In place of `/ROW`.
    target: Option<String>,
    /// Behind it.
    #[serde(default)]
    suffix: String,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    pub(super) body: Option<String>,
    chunks: Option<Vec<String>>,
    /// The first bytes of a body of which the rest never comes.
    pub(super) part: Option<String>,
}

/// What a client does after its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Client {
    /// Reads its answer.
    #[default]
    Stays,
    /// Resets the connection as soon as the upstream has what it gets and the hooks before `on-finish` were called, with
    /// half a body those of the head; with an answer, after its head.
    Leaves,
}

/// A request at an upstream. What is not said is as the client sent it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    /// Name of the upstream.
    pub(super) to: String,
    pub(super) method: Option<String>,
    pub(super) target: Option<String>,
    /// Every `x-` field but those of the test and of forwarding, and others that matter; values joined by a comma.
    #[serde(default)]
    pub(super) fields: BTreeMap<String, String>,
    pub(super) body: Option<String>,
}

/// An answer. Without `code` and `text` its body is empty.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Got {
    /// None where `cut` says so.
    pub(super) status: Option<u16>,
    /// Of the problem document (RFC 9457) that the body is.
    pub(super) code: Option<String>,
    /// Of the same.
    pub(super) detail: Option<String>,
    /// The body.
    pub(super) text: Option<String>,
    /// As in [`Sent`]: every `x-` field, and others that matter.
    #[serde(default)]
    pub(super) fields: BTreeMap<String, String>,
    /// The answer breaks off.
    #[serde(default)]
    pub(super) cut: bool,
    /// It takes at least so long.
    #[serde(default)]
    pub(super) after_ms: u64,
}

impl Case {
    /// Its name as a word: route, path and the value of `x-row`.
    pub(super) fn id(&self) -> String {
        self.name.replace(' ', "-")
    }

    /// The calls that `hooks` stands for, one by one: `a on-request`, `b on-request` ...
    pub(super) fn calls(&self) -> Vec<String> {
        let expand = |line: &String| {
            let words: Vec<&str> = line.split(' ').collect();
            let hook = words.iter().position(|word| is_hook(word));
            let hook = hook.unwrap_or_else(|| panic!("{}: no hook in {line:?}", self.name));
            assert!(hook > 0, "{}: no entry in {line:?}", self.name);
            let call = words[hook..].join(" ");
            words[..hook]
                .iter()
                .map(|entry| format!("{entry} {call}"))
                .collect::<Vec<_>>()
        };
        self.hooks.iter().flat_map(expand).collect()
    }

    /// How many calls a client waits for that leaves; one with half a body causes the error itself.
    pub(super) fn calls_before_leaving(&self) -> usize {
        let is_before = |call: &&String| match &self.request.part {
            Some(_) => call.ends_with(" on-request"),
            None => !call.contains(" on-finish"),
        };
        self.calls().iter().filter(is_before).count()
    }

    /// Its pipeline has the entry that cannot be loaded.
    pub(super) fn needs_absent(&self) -> bool {
        self.pipeline.contains(&"absent".into())
    }

    /// An entry is told to panic.
    pub(super) fn faults(&self) -> bool {
        self.orders.iter().any(|order| order.ends_with(" panic"))
    }

    /// Method and target on the wire.
    pub(super) fn start(&self) -> (&str, String) {
        let Asked {
            method,
            target,
            suffix,
            body,
            chunks,
            part,
            ..
        } = &self.request;
        let has_body = body.is_some() || chunks.is_some() || part.is_some();
        let method = method.as_deref().unwrap_or(if has_body { "POST" } else { "GET" });
        let target = target.clone().unwrap_or_else(|| format!("/{}", self.id()));
        (method, target + suffix)
    }

    /// The body that the client sends.
    pub(super) fn body(&self) -> String {
        match &self.request {
            Asked { body: Some(body), .. } => body.clone(),
            Asked {
                chunks: Some(chunks), ..
            } => chunks.concat(),
            Asked { part, .. } => part.clone().unwrap_or_default(),
        }
    }

    /// The request; of a body of which only a part is sent, the head.
    pub(super) fn request(&self) -> Request {
        let (method, target) = self.start();
        let mut request = Request::new(method, &target).header("x-row", &self.id());
        for order in &self.orders {
            request = request.header("x-do", order);
        }
        for (name, value) in &self.request.fields {
            request = request.header(name, value);
        }
        match &self.request {
            Asked { body: Some(body), .. } => request.body(body.as_str()),
            Asked {
                chunks: Some(chunks), ..
            } => request.chunks(chunks.iter().map(String::as_str)),
            Asked { part: Some(part), .. } => request.header("content-length", &(part.len() + 1).to_string()),
            _ => request,
        }
    }

    /// What could not be run, or would show nothing, is a mistake of the row.
    fn validate(&self) {
        let words = self.name.split(' ');
        let plain = words
            .into_iter()
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(plain && self.name.len() < 100, "{:?} names no route", self.name);
        let bodies = [
            self.request.body.is_some(),
            self.request.chunks.is_some(),
            self.request.part.is_some(),
        ];
        let bodies = bodies.into_iter().filter(|given| *given).count();
        assert!(bodies <= 1, "{}: one body is enough", self.name);
        match &self.answer {
            None => assert!(self.client == Client::Leaves, "{}: no answer", self.name),
            Some(got) => assert!(
                got.status.is_some() != got.cut,
                "{}: a status, or `cut`",
                self.name
            ),
        }
        self.calls();
    }
}

/// A word of `hooks` that is no entry.
fn is_hook(word: &str) -> bool {
    word.starts_with("on-") || word == "responder"
}

/// Every row, in groups that one gateway can serve: a file whose rows need a plugin that cannot be loaded stands alone.
pub(super) fn groups() -> [Vec<Case>; 2] {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        case: Vec<Case>,
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/order");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("a folder of cases")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        let group = match file.case.iter().any(Case::needs_absent) {
            true => &mut alone,
            false => &mut together,
        };
        for mut case in file.case {
            case.validate();
            case.file = name.clone().into_owned();
            group.push(case);
        }
    }
    [together, alone]
}

fn abc() -> Vec<Value> {
    ["a", "b", "c"].map(Value::from).to_vec()
}

fn main() -> Value {
    Value::from("main")
}
