//! What there is to try in the demo: one table for what is printed and for what `--check` does.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use crate::demo::http::{Answer, Connection};
use crate::demo::site::Site;
use crate::demo::upstream::Upstream;
use crate::tree::Tree;

/// The text of the `hello` route, which the reload steps change.
pub(crate) const HELLO: &str = "Hello from a sandboxed plugin";

/// A request and what has to come back.
#[derive(Debug)]
pub(crate) struct Trial {
    says: &'static str,
    on: Listener,
    target: &'static str,
    header: Option<(&'static str, &'static str)>,
    status: u16,
    contains: &'static [&'static str],
    lacks: &'static [&'static str],
}

#[derive(Debug, Clone, Copy)]
enum Listener {
    Public,
    Admin,
}

/// The accepted request, which is the load of `--check`, too.
pub(crate) const ACCEPTED: Trial = Trial {
    says: "accepted: the upstream learns who called, and never sees the key",
    on: Listener::Public,
    target: "/orders/7",
    header: Some(("x-api-key", "alice-demo-key")),
    status: 200,
    contains: &["\"x-consumer\": \"alice\""],
    lacks: &["alice-demo-key"],
};

/// The refused request, which shows a change of the plugin, too.
const REFUSED: Trial = Trial {
    says: "refused by a plugin: no key",
    on: Listener::Public,
    target: "/orders/7",
    header: None,
    status: 401,
    contains: &["key-missing"],
    lacks: &[],
};

/// All of them, in the order to try them.
pub(crate) const TRIALS: &[Trial] = &[
    ACCEPTED,
    REFUSED,
    Trial {
        says: "a route without plugins",
        on: Listener::Public,
        target: "/users/1",
        header: None,
        status: 200,
        contains: &["\"upstream\": \"users-1\""],
        lacks: &[],
    },
    Trial {
        says: "answered by a plugin, no upstream involved",
        on: Listener::Public,
        target: "/hello",
        header: None,
        status: 200,
        contains: &[HELLO],
        lacks: &[],
    },
    Trial {
        says: "no such route",
        on: Listener::Public,
        target: "/nowhere",
        header: None,
        status: 404,
        contains: &["no-route"],
        lacks: &[],
    },
    Trial {
        says: "what runs, and how it is",
        on: Listener::Admin,
        target: "/status",
        header: None,
        status: 200,
        contains: &["auth-key", "mock"],
        lacks: &["alice-demo-key"],
    },
    Trial {
        says: "metrics for Prometheus",
        on: Listener::Admin,
        target: "/metrics",
        header: None,
        status: 200,
        contains: &["portcullis_"],
        lacks: &["alice-demo-key"],
    },
];

impl Trial {
    /// The line for a shell.
    fn curl(&self, site: &Site) -> String {
        let header = self
            .header
            .map(|(name, value)| format!(" -H '{name}: {value}'"))
            .unwrap_or_default();
        format!("curl -i http://{}{}{header}", self.address(site), self.target)
    }

    /// `HOST:PORT` it goes to.
    pub(crate) fn address(&self, site: &Site) -> String {
        match self.on {
            Listener::Public => site.address(),
            Listener::Admin => site.admin(),
        }
    }

    /// Does it on a connection that is open already.
    ///
    /// # Errors
    /// A connection that fails, or another answer than expected.
    pub(crate) fn run(&self, connection: &mut Connection) -> Result<()> {
        let headers: Vec<_> = self.header.into_iter().collect();
        self.judge(&connection.get(self.target, &headers)?)
    }

    fn judge(&self, answer: &Answer) -> Result<()> {
        let what = format!("{} ({})", self.target, self.says);
        ensure!(
            answer.status == self.status,
            "{what}: {} instead of {}\n{}",
            answer.status,
            self.status,
            answer.body
        );
        for part in self.contains {
            ensure!(
                answer.body.contains(part),
                "{what}: no `{part}` in\n{}",
                answer.body
            );
        }
        for part in self.lacks {
            ensure!(
                !answer.body.contains(part),
                "{what}: `{part}` in\n{}",
                answer.body
            );
        }
        if self.status >= 400 {
            ensure!(
                answer.header("content-type") == Some("application/problem+json"),
                "{what}: not a problem document (RFC 9457)"
            );
        }
        Ok(())
    }
}

/// What the demo prints once it runs.
pub(crate) fn guide(tree: &Tree, site: &Site, upstreams: &[Upstream]) -> String {
    let mut text = String::new();
    let mut add = |line: &str| writeln!(text, "{line}").ok();
    add("");
    add(&format!("gateway    http://{}", site.address()));
    add(&format!("admin      http://{}", site.admin()));
    for upstream in upstreams {
        add(&format!(
            "upstream   http://127.0.0.1:{} ({})",
            upstream.port(),
            upstream.name()
        ));
    }
    add(&format!("folder     {}", tree.shown(site.folder())));
    add("\nTry, in another terminal:");
    for trial in TRIALS {
        add(&format!("\n  # {}\n  {}", trial.says, trial.curl(site)));
    }
    let folder = tree.shown(site.folder());
    let built = tree.shown(&tree.target("plugins"));
    let hello = format!("curl -i http://{}/hello", site.address());
    add("\nChange it while it runs; no request fails meanwhile:");
    let state = format!(
        "curl -s http://{}/status | grep -E '\"(name|state|reason)\"'",
        site.admin()
    );
    add(&format!(
        "\n  # 1. the configuration\n  sed -i 's/Hello from/Good day from/' {folder}/portcullis.toml; sleep 1; {hello}"
    ));
    add(&format!(
        "\n  # 2. a plugin that is broken: the last good one goes on, and the status says why\
         \n  echo broken > {folder}/plugins/mock.wasm; sleep 1; {hello}; {state}"
    ));
    add(&format!(
        "\n  # 3. a plugin that works again\n  cp {built}/mock.wasm {folder}/plugins/; sleep 1; {hello}; {state}"
    ));
    add(&format!(
        "\n  # 4. a plugin of which you changed the source: edit plugins/auth-key/src/lib.rs, then\
         \n  cargo xtask plugins && cp {built}/auth-key.wasm {folder}/plugins/; sleep 2; {}",
        REFUSED.curl(site)
    ));
    add("\nCtrl-C stops everything.\n");
    text
}
