//! The case file of `portcullis test`: exchanges to put through one plugin, and what is expected of them.
//!
//! Read by the same readers as the configuration, so that its problems come all at once with their places. It refuses to run
//! anything.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use toml::de::DeValue;

use super::check::lone_entry;
use super::diagnostic::{Diagnostic, Problems, Severity};
use super::document::Document;
use super::model::PluginEntry;
use super::origin::Origin;
use super::plugin_config::PluginConfig;
use super::reader::Reader;
use super::reference::ProcessEnvironment;
use super::scope::{Node, Scope, Shared};
use super::secret::{Text, quoted};
use super::source::{Source, Span};
use super::{MAX_FILE, inputs};
use crate::telemetry::{FaultKind, Hook};

/// Steps of one file.
const MAX_STEPS: usize = 10_000;
/// How far the clock may be advanced at once.
const MAX_ADVANCE: Duration = Duration::from_secs(366 * 24 * 3600);

/// A case file.
#[derive(Debug)]
pub struct Cases {
    /// Upstreams that hooks may name, besides `default`.
    pub upstreams: Vec<Arc<str>>,
    /// The cases, in the order of the file.
    pub cases: Vec<Case>,
}

/// One case: exchanges that share the plugin's stores.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// The plugin's entry, with the configuration of the case.
    pub entry: PluginEntry,
    /// That the plugin refuses the configuration with a text that holds this.
    pub refused: Option<Expectation<String>>,
    /// Its exchanges.
    pub steps: Vec<Step>,
}

/// One exchange.
#[derive(Debug)]
pub struct Step {
    /// How far the clock goes on before it.
    pub advance: Duration,
    /// The request's method.
    pub method: Method,
    /// Its path and query.
    pub target: PathAndQuery,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Where it comes from.
    pub client_ip: IpAddr,
    /// Attributes that plugins before this one have set.
    pub attributes: Vec<(String, String)>,
    /// What the upstream answers; none where the plugin itself is to answer, if it can.
    pub response: Option<Told>,
    /// What is expected.
    pub expect: Expect,
}

/// What an upstream answers.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What is expected of one exchange; what is not named is not looked at.
#[derive(Debug, Default)]
pub struct Expect {
    /// Verdicts, by the names of the hooks.
    pub verdicts: Vec<(String, Expectation<String>)>,
    /// What the client gets.
    pub client: ExpectMessage,
    /// The code of the error that is answered.
    pub code: Option<Expectation<String>>,
    /// Members of the body, which is JSON.
    pub json: Option<Expectation<Value>>,
    /// Whether the upstream is asked.
    pub forwarded: Option<Expectation<bool>>,
    /// What the upstream gets.
    pub upstream: ExpectMessage,
    /// Attributes; none where there must be none.
    pub attributes: Vec<(String, Expectation<Option<String>>)>,
    /// Parts of lines that the plugin logs.
    pub log: Vec<Expectation<String>>,
    /// The kind of fault.
    pub fault: Option<Expectation<String>>,
    /// Where all of this is written.
    pub at: Option<Place>,
}

/// What is expected of a message.
#[derive(Debug, Default)]
pub struct ExpectMessage {
    /// The status of a response.
    pub status: Option<Expectation<u16>>,
    /// The method of a request.
    pub method: Option<Expectation<String>>,
    /// The path and query of a request.
    pub target: Option<Expectation<String>>,
    /// The upstream that a hook named.
    pub name: Option<Expectation<String>>,
    /// Fields: all values of a name in their order; none where there must be none.
    pub headers: Vec<(HeaderName, Expectation<Option<Vec<String>>>)>,
    /// The body as text.
    pub body: Option<Expectation<String>>,
    /// Where anything of it is expected.
    pub at: Option<Place>,
}

/// Something that is expected, with its place.
#[derive(Debug)]
pub struct Expectation<T> {
    /// What.
    pub what: T,
    /// Where it is written.
    pub place: Place,
}

/// A place of the case file.
#[derive(Clone)]
pub struct Place {
    source: Arc<Source>,
    at: Span,
}

impl Place {
    /// A failure that is to be mended here.
    #[must_use]
    pub fn problem(&self, message: String, help: Option<String>) -> Diagnostic {
        let mut diagnostic = self.source.diagnostic(Severity::Error, &self.at, message);
        diagnostic.help = help;
        diagnostic
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.source.origin(self.at.start))
    }
}

impl Cases {
    /// Reads the case file at `path`; the plugin's entry is called `name`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path, name: &str) -> Result<Self, Problems> {
        match inputs::read_text(path, MAX_FILE) {
            Ok(text) => Self::parse(path, &text, name),
            Err(error) => Err(Problems(vec![Diagnostic {
                severity: Severity::Error,
                origin: Origin::whole(path),
                message: error.to_string(),
                help: None,
                excerpt: None,
            }])),
        }
    }

    /// Reads the text of a case file; paths in it start from the folder of `file`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &Path, text: &str, name: &str) -> Result<Self, Problems> {
        let shared = Shared::new(&ProcessEnvironment);
        let document = Document::parse(file, text);
        if let Some(error) = document.broken {
            return Err(Problems(vec![error]));
        }
        let scope = Scope::new(file, Arc::clone(&document.source), 0, &shared);
        let cases = read(Reader::root(&scope, &document.tables), name);
        if shared.findings.has_errors() {
            return Err(Problems(shared.findings.into_list(&Origin::whole(file))));
        }
        Ok(cases)
    }
}

/// An entry called `name` with the defaults of a configuration, and as its `config` all of a file: JSON if the file is called
/// `.json`, else TOML.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn entry(name: &str, config: Option<&Path>) -> Result<PluginEntry, Problems> {
    let file = config.unwrap_or(Path::new("config"));
    let broken = |message: String| {
        Problems(vec![Diagnostic {
            severity: Severity::Error,
            origin: Origin::whole(file),
            message,
            help: None,
            excerpt: None,
        }])
    };
    let text = match config {
        Some(path) => inputs::read_text(path, MAX_FILE).map_err(|error| broken(error.to_string()))?,
        None => String::new(),
    };
    let json = file.extension().is_some_and(|extension| extension == "json");
    let shared = Shared::new(&ProcessEnvironment);
    let document = Document::parse(file, if json { "" } else { &text });
    if let Some(error) = document.broken {
        return Err(Problems(vec![error]));
    }
    let scope = Scope::new(file, Arc::clone(&document.source), 0, &shared);
    let reader = Reader::root(&scope, &document.tables);
    let mut entry = lone_entry(reader.absent(), name);
    entry.config = if json {
        let value = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
        PluginConfig::of_json(&scope, value)
    } else {
        PluginConfig::whole(&scope, &document.tables)
    };
    if shared.findings.has_errors() {
        return Err(Problems(shared.findings.into_list(&Origin::whole(file))));
    }
    Ok(entry)
}

fn read(mut root: Reader<'_>, name: &str) -> Cases {
    let scope = root.scope();
    let upstreams = root.texts("upstreams", "").unwrap_or_default();
    let entry = lone_entry(root.section("plugin"), name);
    root.require(
        "cases",
        "add a table `[[cases]]` with a `name`, a `request` and what to `expect`",
    );
    let mut left = MAX_STEPS;
    let cases = tables(&mut root, "cases")
        .into_iter()
        .map(|reader| case(reader, &entry, &mut left))
        .collect();
    if left == 0 {
        scope.error(&(0..1), format!("there are more than {MAX_STEPS} steps"));
    }
    root.finish();
    Cases {
        upstreams: upstreams.iter().map(|text| text.as_str().into()).collect(),
        cases,
    }
}

/// The tables `[[KEY]]`.
fn tables<'a>(reader: &mut Reader<'a>, key: &'static str) -> Vec<Reader<'a>> {
    let scope = reader.scope();
    let list = reader.list(key).into_iter().flatten().enumerate();
    list.map(|(index, node)| Reader::of(scope, node, node.span(), format!("{key}[{index}]")))
        .collect()
}

fn case(mut reader: Reader<'_>, entry: &PluginEntry, left: &mut usize) -> Case {
    let scope = reader.scope();
    let place = place(scope, reader.at());
    let name = reader.required_text("name", "say what the case shows");
    let mut entry = entry.clone();
    if let Some((at, node)) = reader.entry("config") {
        entry.config = PluginConfig::read(scope, &at, node);
    }
    let refused = expected_text(&mut reader, "refused");
    let mut steps: Vec<Step> = tables(&mut reader, "steps").into_iter().map(step).collect();
    if steps.is_empty() && refused.is_none() {
        steps.push(step_of(&mut reader));
    } else {
        for key in STEP_KEYS {
            reader.refuse(
                key,
                "a case has either steps or one exchange of its own",
                "move it into a table `[[cases.steps]]`",
            );
        }
    }
    steps.truncate(*left);
    *left -= steps.len();
    reader.finish();
    Case {
        name: name.map(|name| name.as_str().to_owned()).unwrap_or_default(),
        place,
        entry,
        refused,
        steps,
    }
}

/// The keys of an exchange.
const STEP_KEYS: [&str; 4] = ["advance", "request", "response", "expect"];

fn step(mut reader: Reader<'_>) -> Step {
    let step = step_of(&mut reader);
    reader.finish();
    step
}

fn step_of(reader: &mut Reader<'_>) -> Step {
    let scope = reader.scope();
    let advance = reader.time("advance", Duration::ZERO..=MAX_ADVANCE, Duration::ZERO);
    let mut request = reader.section("request");
    let step = Step {
        advance,
        method: request
            .parsed("method", "a method", |text| Method::from_bytes(text.as_bytes()))
            .unwrap_or(Method::GET),
        target: request
            .parsed("target", "a path and query", |text| match text.as_bytes() {
                [b'/', ..] | b"*" => PathAndQuery::try_from(text).map_err(|error| error.to_string()),
                _ => Err("it begins with `/`".to_owned()),
            })
            .unwrap_or(PathAndQuery::from_static("/")),
        headers: fields(&mut request),
        body: body(&mut request),
        client_ip: request
            .parsed("client-ip", "an address", str::parse)
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        attributes: pairs(&mut request, "attributes"),
        response: response(reader.section("response")),
        expect: expect(scope, reader.section("expect")),
    };
    request.finish();
    step
}

fn response(mut reader: Reader<'_>) -> Option<Told> {
    let told = Told {
        status: reader
            .optional_number("status", 200..=599_u16)
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or_default(),
        headers: fields(&mut reader),
        body: body(&mut reader),
    };
    let is_there = reader.is_present();
    reader.finish();
    is_there.then_some(told)
}

fn body(reader: &mut Reader<'_>) -> Bytes {
    let text = reader.text("body");
    text.map(|text| Bytes::copy_from_slice(text.as_str().as_bytes()))
        .unwrap_or_default()
}

/// Texts under free names.
fn pairs(reader: &mut Reader<'_>, key: &'static str) -> Vec<(String, String)> {
    let scope = reader.scope();
    let entries = reader.free_entries(key).into_iter();
    entries
        .filter_map(|(name, _, node)| {
            let text = scope.text(&quoted(name), node)?;
            Some((name.to_owned(), text.as_str().to_owned()))
        })
        .collect()
}

/// The fields of a message: a text, or a list of them where a name stands more than once.
fn fields(reader: &mut Reader<'_>) -> HeaderMap {
    let scope = reader.scope();
    let mut headers = HeaderMap::new();
    for (name, at, node) in reader.free_entries("headers") {
        let Some(name) = field_name(scope, &at, name) else {
            continue;
        };
        for text in values(scope, name.as_str(), node) {
            if let Some(value) = scope.parse(&text, "a field value", HeaderValue::from_str) {
                headers.append(name.clone(), value);
            }
        }
    }
    headers
}

fn field_name(scope: &Scope<'_>, at: &Span, name: &str) -> Option<HeaderName> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    if parsed.is_none() {
        scope.error(at, format!("{} is no field name", quoted(name)));
    }
    parsed
}

fn values(scope: &Scope<'_>, name: &str, node: &Node<'_>) -> Vec<Text> {
    match node.get_ref() {
        DeValue::Array(list) => {
            let name = format!("an element of {}", quoted(name));
            list.iter().filter_map(|node| scope.text(&name, node)).collect()
        }
        _ => scope.text(&quoted(name), node).into_iter().collect(),
    }
}

fn expect(scope: &Scope<'_>, mut reader: Reader<'_>) -> Expect {
    let at = place(scope, reader.at());
    let verdicts = reader.free_entries("verdicts").into_iter();
    let verdicts = verdicts
        .filter_map(|(hook, at, node)| {
            known(scope, &at, "hook", hook, Hook::ALL.map(Hook::name));
            let text = scope.text(&quoted(hook), node)?;
            Some((hook.to_owned(), expectation(scope, &at, text.as_str().to_owned())))
        })
        .collect();
    let attributes = reader.free_entries("attributes").into_iter();
    let attributes = attributes
        .filter_map(|(name, at, node)| {
            let what = match node.get_ref() {
                DeValue::Boolean(false) => None,
                _ => Some(scope.text(&quoted(name), node)?.as_str().to_owned()),
            };
            Some((name.to_owned(), expectation(scope, &at, what)))
        })
        .collect();
    let json = reader.entry("json").map(|(at, node)| {
        let json = PluginConfig::read(scope, &at, node);
        expectation(scope, &at, json.value().clone())
    });
    let log = reader.texts("log", "").unwrap_or_default();
    let log = log
        .into_iter()
        .map(|text| expectation(scope, text.at(), text.as_str().to_owned()));
    let forwarded = match reader.entry("forwarded") {
        Some((at, _)) => reader.flag("forwarded").map(|what| expectation(scope, &at, what)),
        None => None,
    };
    let fault = expected_text(&mut reader, "fault");
    if let Some(Expectation { what, place }) = &fault {
        known(
            scope,
            &place.at,
            "kind of fault",
            what,
            FaultKind::ALL.map(FaultKind::name),
        );
    }
    let mut upstream = reader.section("upstream");
    let expect = Expect {
        verdicts,
        code: expected_text(&mut reader, "code"),
        json,
        forwarded,
        upstream: ExpectMessage {
            method: expected_text(&mut upstream, "method"),
            target: expected_text(&mut upstream, "target"),
            name: expected_text(&mut upstream, "name"),
            ..message(scope, &mut upstream)
        },
        attributes,
        log: log.collect(),
        fault,
        at: Some(at),
        client: ExpectMessage {
            status: status(scope, &mut reader),
            ..message(scope, &mut reader)
        },
    };
    upstream.finish();
    reader.finish();
    expect
}

/// Reports a word that is none of those that there are.
fn known<const N: usize>(scope: &Scope<'_>, at: &Span, noun: &str, word: &str, words: [&'static str; N]) {
    if !words.contains(&word) {
        let help = format!("there are: {}", words.join(", "));
        scope.error_with_help(at, format!("there is no {noun} {}", quoted(word)), help);
    }
}

/// What can be expected of both requests and responses.
fn message(scope: &Scope<'_>, reader: &mut Reader<'_>) -> ExpectMessage {
    let entries = reader.free_entries("headers").into_iter();
    let headers = entries
        .filter_map(|(name, at, node)| {
            let name = field_name(scope, &at, name)?;
            let what = match node.get_ref() {
                DeValue::Boolean(false) => None,
                _ => {
                    let texts = values(scope, name.as_str(), node).into_iter();
                    Some(texts.map(|text| text.as_str().to_owned()).collect())
                }
            };
            Some((name, expectation(scope, &at, what)))
        })
        .collect();
    ExpectMessage {
        headers,
        body: expected_text(reader, "body"),
        at: reader.is_present().then(|| place(scope, reader.at())),
        ..ExpectMessage::default()
    }
}

fn status(scope: &Scope<'_>, reader: &mut Reader<'_>) -> Option<Expectation<u16>> {
    let (at, _) = reader.entry("status")?;
    let status = reader.optional_number("status", 100..=599_u16)?;
    Some(expectation(scope, &at, status))
}

fn expected_text(reader: &mut Reader<'_>, key: &'static str) -> Option<Expectation<String>> {
    let (at, _) = reader.entry(key)?;
    let text = reader.text(key)?;
    Some(expectation(reader.scope(), &at, text.as_str().to_owned()))
}

fn expectation<T>(scope: &Scope<'_>, at: &Span, what: T) -> Expectation<T> {
    Expectation {
        what,
        place: place(scope, at),
    }
}

fn place(scope: &Scope<'_>, at: &Span) -> Place {
    Place {
        source: Arc::clone(scope.source()),
        at: at.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let Problems(found) = Cases::parse(Path::new("cases.toml"), text, "a").unwrap_err();
        found
            .iter()
            .map(|problem| {
                let Origin { line, column, .. } = problem.origin;
                format!("{line}:{column} {}", problem.message)
            })
            .collect()
    }

    #[test]
    fn all_problems_of_a_file_come_at_once_with_their_places() {
        let found = problems(
            "[plugin]\nwasm = 'x'\n[[cases]]\nrequest = { target = 'x', verb = 'GET' }\n\
             expect = { status = 99, headers = { 'a b' = 'c' } }\n[[cases]]\nname = 'b'\n\
             request = {}\nsteps = [{ advance = '1' }]\n",
        );
        let places: Vec<&str> = found.iter().filter_map(|text| text.split(' ').next()).collect();
        assert_eq!(
            places,
            ["2:1", "3:1", "4:22", "4:27", "5:21", "5:37", "8:1", "9:22"],
            "{found:#?}"
        );
    }

    #[test]
    fn a_case_without_steps_is_one_exchange() {
        let text = "[plugin]\nconfig = { a = 1 }\n[[cases]]\nname = 'x'\nconfig = { a = 2 }\n\
                    request = { headers = { A = ['1', '2'] } }\n[cases.expect]\nheaders = { B = false }\n";
        let cases = Cases::parse(Path::new("cases.toml"), text, "a").unwrap();
        let case = &cases.cases[0];
        assert_eq!((case.entry.config.json(), case.steps.len()), ("{\"a\":2}", 1));
        let step = &case.steps[0];
        assert_eq!(step.headers.get_all("a").iter().count(), 2);
        assert!(step.response.is_none() && step.expect.client.headers[0].1.what.is_none());
    }
}
