//! What there is to try in the demo: one table for what is printed and for what `--check` does.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use crate::demo::http::{Answer, Connection, Request};
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
    request: Request<'static>,
    status: u16,
    /// Parts of the body.
    contains: &'static [&'static str],
    /// Parts of header fields.
    fields: &'static [(&'static str, &'static str)],
}

#[derive(Debug, Clone, Copy)]
enum Listener {
    Public,
    Admin,
}

/// A GET of this target with these headers.
const fn get(target: &'static str, headers: &'static [(&'static str, &'static str)]) -> Request<'static> {
    Request {
        method: "GET",
        target,
        headers,
        body: "",
    }
}

/// No answer shows it.
const SECRET: &str = "demo-key";

/// The accepted request, which is the load of `--check`, too.
pub(crate) const ACCEPTED: Trial = Trial {
    says: "accepted: the upstream learns who called, and never sees the key",
    on: Listener::Public,
    request: get("/orders/7", &[("x-api-key", "alice-demo-key")]),
    status: 200,
    contains: &["\"x-consumer\": \"alice\"", "\"x-request-id\""],
    fields: &[("x-request-id", "")],
};

/// The refused request, which shows a change of the plugin, too.
const REFUSED: Trial = Trial {
    says: "refused: neither of the two kinds of key",
    on: Listener::Public,
    request: get("/orders/7", &[]),
    status: 401,
    contains: &["key-missing"],
    fields: &[("content-type", "application/problem+json"), ("x-request-id", "")],
};

/// All of them, in the order to try them.
pub(crate) const TRIALS: &[Trial] = &[
    ACCEPTED,
    REFUSED,
    Trial {
        says: "accepted by the other plugin of `any`",
        on: Listener::Public,
        request: get("/orders/7", &[("x-partner-key", "acme-demo-key")]),
        status: 200,
        contains: &["\"x-consumer\": \"acme\""],
        fields: &[],
    },
    Trial {
        says: "refused: the body is not what the schema says, with pointers to what is wrong",
        on: Listener::Public,
        request: Request {
            method: "POST",
            target: "/orders",
            headers: &[
                ("x-api-key", "bob-demo-key"),
                ("content-type", "application/json"),
            ],
            body: r#"{"item": "rope", "count": 0}"#,
        },
        status: 400,
        contains: &["validation-failed", "/count"],
        fields: &[("content-type", "application/problem+json")],
    },
    Trial {
        says: "three a minute for each client; then 429 with Retry-After",
        on: Listener::Public,
        request: get("/search?q=rope", &[]),
        status: 200,
        contains: &["\"target\": \"/search?q=rope\""],
        fields: &[("x-ratelimit-limit", "3"), ("ratelimit", "r=2")],
    },
    Trial {
        says: "the canary: this header, or one client in ten",
        on: Listener::Public,
        request: get("/users/1", &[("x-canary", "always")]),
        status: 200,
        contains: &["\"upstream\": \"users-2\""],
        fields: &[],
    },
    Trial {
        says: "moved",
        on: Listener::Public,
        request: get("/old/7", &[]),
        status: 308,
        contains: &[],
        fields: &[("location", "/orders/7")],
    },
    Trial {
        says: "not from this address",
        on: Listener::Public,
        request: get("/internal", &[]),
        status: 403,
        contains: &["ip-denied"],
        fields: &[("content-type", "application/problem+json")],
    },
    Trial {
        says: "answered by a plugin, no upstream involved",
        on: Listener::Public,
        request: get("/hello", &[]),
        status: 200,
        contains: &[HELLO],
        fields: &[],
    },
    Trial {
        says: "compressed",
        on: Listener::Public,
        request: get("/catalogue", &[("accept-encoding", "br")]),
        status: 200,
        contains: &[],
        fields: &[("content-encoding", "br"), ("vary", "accept-encoding")],
    },
    Trial {
        says: "a browser's preflight (CORS)",
        on: Listener::Public,
        request: Request {
            method: "OPTIONS",
            target: "/catalogue",
            headers: &[
                ("origin", "https://shop.example.com"),
                ("access-control-request-method", "PUT"),
            ],
            body: "",
        },
        status: 204,
        contains: &[],
        fields: &[("access-control-allow-origin", "https://shop.example.com")],
    },
    Trial {
        says: "no such route, as a page for people",
        on: Listener::Public,
        request: get("/nowhere", &[("accept", "text/html")]),
        status: 404,
        contains: &["<!doctype html>", "no-route"],
        fields: &[("content-type", "text/html")],
    },
    Trial {
        says: "what runs, and how it is",
        on: Listener::Admin,
        request: get("/status", &[]),
        status: 200,
        contains: &["auth-key", "mock"],
        fields: &[],
    },
    Trial {
        says: "metrics for Prometheus",
        on: Listener::Admin,
        request: get("/metrics", &[]),
        status: 200,
        contains: &["portcullis_"],
        fields: &[],
    },
];

impl Trial {
    /// The line for a shell.
    fn curl(&self, site: &Site) -> String {
        let Request {
            method,
            target,
            headers,
            body,
        } = self.request;
        let mut line = String::from("curl -i");
        if method != "GET" && body.is_empty() {
            line.push_str(&format!(" -X {method}"));
        }
        // In quotes where a shell would make something else of it.
        let quote = if target.contains('?') { "'" } else { "" };
        line.push_str(&format!(" {quote}http://{}{target}{quote}", self.address(site)));
        for (name, value) in headers {
            line.push_str(&format!(" -H '{name}: {value}'"));
        }
        if !body.is_empty() {
            line.push_str(&format!(" -d '{body}'"));
        }
        if headers.contains(&("accept-encoding", "br")) {
            line.push_str(" -o /dev/null -D -");
        }
        line
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
        self.judge(&connection.send(&self.request)?)
    }

    fn judge(&self, answer: &Answer) -> Result<()> {
        let what = format!("{} ({})", self.request.target, self.says);
        let body = &answer.body;
        ensure!(
            answer.status == self.status,
            "{what}: {} instead of {}\n{body}",
            answer.status,
            self.status
        );
        for part in self.contains {
            ensure!(body.contains(part), "{what}: no `{part}` in\n{body}");
        }
        ensure!(!body.contains(SECRET), "{what}: a secret in\n{body}");
        for (name, part) in self.fields {
            let found = answer
                .header(name)
                .is_some_and(|value| value.to_ascii_lowercase().contains(part));
            ensure!(found, "{what}: no `{part}` in the field `{name}`");
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
