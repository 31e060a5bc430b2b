//! Scripts that the store runs, named by their SHA-1 so that their text is sent once. It refuses to know what they do.

use std::sync::OnceLock;

use redis::{Cmd, Value};
use sha1::{Digest, Sha1};
use tokio::time::Instant;

use crate::store::redis::{EntryRemote, RemoteError};

/// The text of the error of a store that does not know the script.
pub(super) const NO_SCRIPT: &str = "NOSCRIPT";

/// A script with its name.
pub(super) struct Script {
    text: &'static str,
    name: OnceLock<String>,
}

impl Script {
    pub(super) const fn new(text: &'static str) -> Self {
        Self {
            text,
            name: OnceLock::new(),
        }
    }

    /// SHA-1 of the text in hexadecimal, by which stores know it.
    fn name(&self) -> &str {
        self.name.get_or_init(|| {
            let digest = Sha1::digest(self.text.as_bytes());
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }

    /// Runs it with the number of keys, keys and arguments that `rest` adds: by its name, and with its text where the store
    /// does not know it, as after a restart.
    pub(super) async fn run(
        &self,
        remote: &EntryRemote,
        until: Instant,
        rest: impl Fn(&mut Cmd),
    ) -> Result<Value, RemoteError> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script);
            rest(&mut command);
            command
        };
        match remote.call(command("EVALSHA", self.name()), until).await {
            Err(RemoteError::Refused(text)) if text == NO_SCRIPT => {
                remote.call(command("EVAL", self.text), until).await
            }
            answer => answer,
        }
    }
}
