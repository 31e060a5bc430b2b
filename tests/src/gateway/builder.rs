//! How a gateway under test is described: which components lie in its folder, which upstreams it knows, and the
//! rest of its TOML. Fills in what every test needs and no test is about: ports, folders, entries without config.

use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_host::gateway::StartError;

use crate::artifact;
use crate::gateway::binary::BinaryGateway;
use crate::gateway::folder::Folder;
use crate::gateway::{Errors, Gateway};
use crate::upstream::Upstream;

/// See [`Gateway::new`].
#[derive(Debug)]
pub struct GatewayBuilder {
    components: Vec<(String, PathBuf)>,
    files: Vec<(String, Vec<u8>)>,
    frame: Frame,
    toml: String,
    pub(crate) workers: Option<usize>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) errors: Errors,
}

/// The part of the TOML that the harness writes, around the test's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    gateway: String,
    listener: String,
    entries: Vec<String>,
    upstreams: Vec<(String, Vec<SocketAddr>, String)>,
    /// Where to listen; port 0 unless said otherwise.
    pub(crate) addresses: Option<(SocketAddr, SocketAddr)>,
}

impl GatewayBuilder {
    pub(crate) fn new() -> Self {
        Self {
            components: Vec::new(),
            files: Vec::new(),
            frame: Frame::default(),
            toml: String::new(),
            workers: Some(2),
            variables: Vec::new(),
            errors: Errors::Fail,
        }
    }

    /// A plugin of this repository, in the folder under its own name, with an entry in the TOML if the test writes
    /// none.
    #[must_use]
    pub fn plugin(mut self, name: &str) -> Self {
        self.components.push((name.to_owned(), artifact::plugin(name)));
        self.frame.entries.push(name.to_owned());
        self
    }

    /// A component that only tests use; as [`GatewayBuilder::plugin`].
    #[must_use]
    pub fn guest(mut self, name: &str) -> Self {
        self.components.push((name.to_owned(), artifact::guest(name)));
        self.frame.entries.push(name.to_owned());
        self
    }

    /// A file in the gateway's folder, next to its TOML: `plugins/broken.wasm`, `key.txt`.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), bytes.into()));
        self
    }

    /// `[upstreams.NAME]` with this one endpoint.
    #[must_use]
    pub fn upstream(self, name: &str, upstream: &Upstream) -> Self {
        self.upstream_with(name, &[upstream.address()], "")
    }

    /// `[upstreams.NAME]` with these endpoints and further keys.
    #[must_use]
    pub fn upstream_with(mut self, name: &str, endpoints: &[SocketAddr], keys: &str) -> Self {
        self.frame
            .upstreams
            .push((name.to_owned(), endpoints.to_vec(), keys.to_owned()));
        self
    }

    /// Further keys of `[gateway]`.
    #[must_use]
    pub fn gateway(mut self, keys: &str) -> Self {
        self.frame.gateway.push_str(&format!("{keys}\n"));
        self
    }

    /// Further keys of `[listeners.public]`.
    #[must_use]
    pub fn listener(mut self, keys: &str) -> Self {
        self.frame.listener.push_str(&format!("{keys}\n"));
        self
    }

    /// The rest of the TOML: entries with config, routes.
    #[must_use]
    pub fn toml(mut self, text: &str) -> Self {
        self.toml.push_str(text);
        self
    }

    /// How many workers; two unless said, and with `None` what the TOML says.
    #[must_use]
    pub fn workers(mut self, workers: impl Into<Option<usize>>) -> Self {
        self.workers = workers.into();
        self
    }

    /// An environment variable of the real binary; one in this process sees those of the tests.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// ERROR lines are what the test is about.
    #[must_use]
    pub fn allow_errors(mut self) -> Self {
        self.errors = Errors::Allow;
        self
    }

    /// Starts it in this process.
    ///
    /// # Panics
    /// When it does not start, with its own words.
    pub async fn start(self) -> Gateway {
        match Gateway::start(self).await {
            Ok(gateway) => gateway,
            Err(error) => panic!("the gateway did not start: {error}{}", causes(&error)),
        }
    }

    /// Starts it in this process, or not.
    ///
    /// # Errors
    /// Those of the gateway's start.
    pub async fn try_start(self) -> Result<Gateway, StartError> {
        Gateway::start(self).await
    }

    /// Starts the real binary.
    ///
    /// # Panics
    /// When it does not become ready, with what it wrote.
    pub async fn start_binary(self) -> BinaryGateway {
        BinaryGateway::start(self).await
    }

    /// Fixed addresses of the listener and the admin listener, for a gateway that cannot be asked for them.
    pub(crate) fn listen_on(&mut self, public: SocketAddr, admin: SocketAddr) {
        self.frame.addresses = Some((public, admin));
    }

    /// Writes the folder: components, files, TOML.
    pub(crate) fn write(&self) -> Folder {
        let folder = Folder::new(self.frame.clone());
        for (name, path) in &self.components {
            let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            folder.replace_plugin(name, &bytes);
        }
        for (path, bytes) in &self.files {
            folder.write_file(path, bytes);
        }
        folder.write_toml(&self.toml);
        folder
    }
}

impl Frame {
    /// The whole TOML around the test's part, which has the last word: a table that it writes is not written here.
    pub(crate) fn around(&self, text: &str) -> String {
        let has = |header: &str| text.lines().any(|line| line.trim() == header);
        let any = "127.0.0.1:0".parse().expect("an address");
        let (public, admin) = self.addresses.unwrap_or((any, any));
        let mut all = String::new();
        let mut add = |header: String, keys: &[String]| {
            if !has(&header) {
                all.push_str(&format!("{header}\n{}\n", keys.join("\n")));
            }
        };
        add(
            "[gateway]".into(),
            &[format!("admin = \"{admin}\""), self.gateway.clone()],
        );
        add(
            "[listeners.public]".into(),
            &[format!("address = \"{public}\""), self.listener.clone()],
        );
        for entry in &self.entries {
            add(format!("[plugins.{entry}]"), &[]);
        }
        for (name, endpoints, keys) in &self.upstreams {
            let endpoints: Vec<String> = endpoints
                .iter()
                .map(|endpoint| format!("\"{endpoint}\""))
                .collect();
            add(
                format!("[upstreams.{name}]"),
                &[format!("endpoints = [{}]", endpoints.join(", ")), keys.clone()],
            );
        }
        all + text
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_holds_what_the_test_does_not_write() {
        let upstream = "127.0.0.1:9".parse().unwrap();
        let builder = GatewayBuilder::new()
            .upstream_with("orders", &[upstream, upstream], "idle-timeout = \"1s\"")
            .gateway("shutdown-timeout = \"1s\"")
            .listener("pipeline = [\"a\"]");
        let frame = Frame {
            entries: vec!["a".into(), "b".into()],
            ..builder.frame
        };
        let text = frame.around("    [plugins.a]\n    config = {}\n");
        for part in [
            "[gateway]\nadmin = \"127.0.0.1:0\"\nshutdown-timeout = \"1s\"\n",
            "[listeners.public]\naddress = \"127.0.0.1:0\"\npipeline = [\"a\"]\n",
            "[upstreams.orders]\nendpoints = [\"127.0.0.1:9\", \"127.0.0.1:9\"]\nidle-timeout = \"1s\"\n",
            "[plugins.b]\n",
        ] {
            assert!(text.contains(part), "{part}in\n{text}");
        }
        assert_eq!(text.matches("[plugins.a]").count(), 1);
        assert!(text.ends_with("config = {}\n"));
    }
}
