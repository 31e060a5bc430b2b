//! Every hook x every fault x what the entry says of faults x both ways of calling (directly, and on a fiber for a
//! larger budget). The cases are made, not listed.

use std::time::Duration;

use portcullis_tests::patience::eventually;
use portcullis_tests::{Answer, Gateway, Load, Request, Upstream};
use tokio::time::Instant;

use super::stand::{bad, count, entry, faults, plugin, route};

/// The hooks.
const HOOKS: [Hook; 8] = [
    Hook {
        name: "on-request",
        sort: Sort::Request,
    },
    Hook {
        name: "on-request-body",
        sort: Sort::Request,
    },
    Hook {
        name: "on-response",
        sort: Sort::Response,
    },
    Hook {
        name: "on-response-body",
        sort: Sort::Response,
    },
    Hook {
        name: "on-error",
        sort: Sort::Error,
    },
    Hook {
        name: "on-finish",
        sort: Sort::Finish,
    },
    Hook {
        name: "balancer",
        sort: Sort::Balancer,
    },
    Hook {
        name: "responder",
        sort: Sort::Responder,
    },
];

/// Each fault with the kind that it is counted as.
const FAULTS: [(&str, &str); 10] = [
    ("trap", "trap"),
    ("panic", "panic"),
    ("spin", "cpu"),
    ("late", "cpu"),
    ("memory", "memory"),
    ("stack", "stack"),
    ("bad-status", "bad-answer"),
    ("bad-header", "bad-answer"),
    ("bad-code", "bad-answer"),
    ("bad-index", "bad-answer"),
];

const POLICIES: [&str; 2] = ["reject", "skip"];

/// Ways of calling with the CPU time that leads to each. The memory cap is low, so that it is reached within that.
const MODES: [(&str, &str); 2] = [
    ("direct", "cpu = \"5ms\"\nmax-memory = \"4MiB\""),
    ("fiber", "cpu = \"30ms\"\nmax-memory = \"4MiB\""),
];

/// What an answer may take at most: a budget is some milliseconds, the rest is for a machine that is busy.
const BUDGET: Duration = Duration::from_secs(3);

/// What the request after a fault may take at most.
const RECOVERY: Duration = Duration::from_secs(1);

/// Connections with requests that no fault may change, while the faults happen.
const CONNECTIONS: usize = 32;

/// A hook to fail in.
#[derive(Clone, Copy)]
struct Hook {
    name: &'static str,
    sort: Sort,
}

/// What a fault of a hook can do to an exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Its edits are of the request.
    Request,
    /// Its edits are of the response.
    Response,
    /// There is an error already.
    Error,
    /// There is an answer already.
    Finish,
    /// The gateway can choose in its place.
    Balancer,
    /// Nobody else can answer.
    Responder,
}

/// One cell of the matrix.
struct Case {
    hook: Hook,
    fault: &'static str,
    kind: &'static str,
    policy: &'static str,
    mode: &'static str,
    keys: &'static str,
}

impl Hook {
    /// Whether the hook can give the answer that is this fault.
    fn can(self, fault: &str) -> bool {
        match self.sort {
            Sort::Finish => !fault.starts_with("bad-"),
            Sort::Balancer => !fault.starts_with("bad-") || fault == "bad-index",
            _ if fault == "bad-index" => false,
            Sort::Error => fault != "bad-code",
            _ => true,
        }
    }

    fn cases(self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (fault, kind) in FAULTS.into_iter().filter(|(fault, _)| self.can(fault)) {
            for policy in POLICIES {
                for (mode, keys) in MODES {
                    cases.push(Case {
                        hook: self,
                        fault,
                        kind,
                        policy,
                        mode,
                        keys,
                    });
                }
            }
        }
        cases
    }
}

impl Case {
    fn name(&self) -> String {
        format!("{}-{}-{}", self.fault, self.policy, self.mode)
    }

    /// Entry and route. The first stage of the pipeline tells what is left of the rogue's attribute.
    fn toml(&self, main: &Upstream) -> String {
        let name = self.name();
        let keys = format!("{}\non-fault = \"{}\"", self.keys, self.policy);
        let entry = entry(&name, self.hook.name, self.fault, &keys);
        entry + &self.hook.route(&name, main)
    }

    /// What the request that makes it fail has to be answered.
    fn is_answered(&self, answer: &Answer) -> Result<(), String> {
        let fault = || (answer.status, answer.problem()) == (503, "plugin-fault".to_owned());
        let right = match (self.hook.sort, self.policy) {
            (Sort::Error, _) => {
                (answer.status, answer.problem()) == (502, "upstream-connect-failed".to_owned())
            }
            (Sort::Request | Sort::Response | Sort::Balancer, "reject") | (Sort::Responder, _) => fault(),
            (Sort::Request | Sort::Response | Sort::Balancer | Sort::Finish, _) => is_whole(answer),
        };
        right.then_some(()).ok_or_else(|| format!("{answer:?}"))
    }
}

impl Hook {
    fn route(self, name: &str, main: &Upstream) -> String {
        match self.sort {
            Sort::Balancer => {
                let address = main.address();
                let upstream = format!(
                    "[upstreams.{name}]\nendpoints = [\"{address}\"]\nbalance = {{ plugin = \"{name}\" }}\n"
                );
                upstream + &route(name, "\"trace\"", &format!("\"{name}\""))
            }
            Sort::Error => route(name, &format!("\"trace\", \"{name}\""), "\"down\""),
            Sort::Responder => route(name, "\"trace\"", &format!("{{ plugin = \"{name}\" }}")),
            _ => route(name, &format!("\"trace\", \"{name}\""), "\"main\""),
        }
    }

    /// What a request without the trigger has to be answered.
    fn is_well(self, answer: &Answer) -> bool {
        match self.sort {
            Sort::Error => answer.status == 502,
            Sort::Responder => (answer.status, answer.text()) == (200, "the rogue behaves"),
            _ => is_whole(answer),
        }
    }
}

/// The upstream's answer, with nothing half done.
fn is_whole(answer: &Answer) -> bool {
    (answer.status, answer.text(), answer.header("x-half-done")) == (200, "answer", None)
}

fn request(name: &str) -> Request {
    Request::post(&format!("/{name}"), "hello").header("x-do", "trace on-response tell rogue.half-done")
}

/// A request to the route that no fault has anything to do with.
fn beside() -> Request {
    Request::get("/beside").header("x-api-key", "key")
}

/// Load on the route beside, whose answers have to be whole.
fn load(gateway: &Gateway) -> Load {
    Load::new(gateway.address(), beside())
        .connections(CONNECTIONS)
        .pause(Duration::from_millis(20))
        .check(|answer| match is_whole(answer) {
            true => Ok(()),
            false => Err(format!("{answer:?}")),
        })
}

async fn start(main: &Upstream, calm: &Upstream, toml: &str) -> Gateway {
    Gateway::new()
        .guest("rogue")
        .guest("trace")
        .guest("gate")
        .upstream("main", main)
        .upstream("calm", calm)
        .upstream_with("down", &[Upstream::nowhere()], "")
        .toml("[plugins.rogue]\nconfig = { hook = \"on-request\", fault = \"none\" }\n")
        .toml("[plugins.gate]\nconfig = { keys = { key = \"acme\" } }\n")
        .toml(&route("beside", "\"gate\"", "\"calm\""))
        .toml(toml)
        .start()
        .await
}

#[tokio::test]
async fn every_fault_in_every_hook_costs_its_exchange_one_answer_and_nothing_else() {
    let (mut count, mut innocent) = (0, 0);
    for hook in HOOKS {
        let cases = hook.cases();
        let main = Upstream::fixed(200, &[], "answer");
        let calm = Upstream::fixed(200, &[], "answer");
        let toml: String = cases.iter().map(|case| case.toml(&main)).collect();
        let gateway = start(&main, &calm, &toml).await;
        let load = load(&gateway).start();
        for case in &cases {
            if let Err(what) = check(&gateway, &main, case).await {
                panic!("{} {}: {what}", hook.name, case.name());
            }
            count += 1;
        }
        let report = load.stop().await;
        report.expect_no_failure();
        innocent += report.requests;
        let slow = report.slower_than(BUDGET);
        assert_eq!(
            slow, 0,
            "{}: requests beside that took over {BUDGET:?}",
            hook.name
        );
        gateway.shutdown().await;
    }
    #[expect(clippy::print_stdout, reason = "how much was tried is worth a look")]
    {
        println!(
            "{count} combinations of hook, fault, policy and way of calling, beside {innocent} requests"
        );
    }
    // Nine faults in five hooks, eight in `on-error`, six in `on-finish`, seven in `balancer`; each four times.
    assert_eq!(count, (9 * 5 + 8 + 6 + 7) * 4);
}

async fn check(gateway: &Gateway, main: &Upstream, case: &Case) -> Result<(), String> {
    let (name, hook) = (case.name(), case.hook);
    let seen = main.requests().len();

    let begun = Instant::now();
    let answer = gateway.send(&bad(request(&name))).await;
    let took = begun.elapsed();
    case.is_answered(&answer)?;
    if took > BUDGET {
        return Err(format!("answered after {took:?}"));
    }

    // What the hook did before it failed is undone.
    if answer.header("x-half-done").is_some() || answer.header("x-told") != Some("none") {
        return Err(format!("half done: {answer:?}"));
    }
    let forwarded = main.requests().split_off(seen);
    if forwarded
        .iter()
        .any(|request| request.header("x-half-done").is_some())
    {
        return Err(format!("half done: {forwarded:?}"));
    }
    let expected = match (hook.sort, case.policy) {
        (Sort::Error | Sort::Responder, _) | (Sort::Request | Sort::Balancer, "reject") => 0,
        _ => 1,
    };
    if forwarded.len() != expected {
        return Err(format!("the upstream got {forwarded:?}"));
    }

    // It is counted, once and as what it is.
    eventually("the fault in the metrics", async || {
        (faults(gateway, &name, hook.name, case.kind).await == 1.0).then_some(())
    })
    .await;
    let policy = match case.policy {
        "skip" => "portcullis_plugin_skipped_total",
        _ => "portcullis_plugin_rejected_total",
    };
    // Nobody waits for `on-finish`: what follows from its fault may be counted after the fault.
    eventually("what followed from the fault in the metrics", async || {
        (count(gateway, policy, &name).await == 1.0).then_some(())
    })
    .await;
    let status = gateway.status().await;
    let entry = plugin(&status, &name);
    if (&entry["faults"], &entry["state"]) != (&1.into(), &"active".into()) {
        return Err(format!("status: {entry}"));
    }

    // The next request works, and soon. What the other routes answer, the load looks at.
    let begun = Instant::now();
    let answer = gateway.send(&request(&name)).await;
    let took = begun.elapsed();
    if !hook.is_well(&answer) {
        return Err(format!("the next request: {answer:?}"));
    }
    if took > RECOVERY {
        return Err(format!("the next request was answered after {took:?}"));
    }
    Ok(())
}

#[tokio::test]
async fn without_a_fault_the_edits_stay() {
    let main = Upstream::fixed(200, &[], "answer");
    let hooks = ["on-request", "on-request-body", "on-response", "on-response-body"];
    let toml: String = hooks
        .iter()
        .map(|hook| {
            entry(hook, hook, "none", "") + &route(hook, &format!("\"trace\", \"{hook}\""), "\"main\"")
        })
        .collect();
    let calm = Upstream::fixed(200, &[], "answer");
    let gateway = start(&main, &calm, &toml).await;
    for hook in hooks {
        let seen = main.requests().len();
        let answer = gateway.send(&bad(request(hook))).await;
        let forwarded = main.requests().remove(seen);
        let (at_upstream, at_client) = (forwarded.header("x-half-done"), answer.header("x-half-done"));
        if hook.starts_with("on-request") {
            assert_eq!((at_upstream, at_client), (Some("1"), None), "{hook}");
        } else {
            assert_eq!((at_upstream, at_client), (None, Some("1")), "{hook}");
        }
        // The hook of bodies runs after the one that tells.
        let told = if hook == "on-response-body" { "none" } else { "1" };
        assert_eq!(answer.header("x-told"), Some(told), "{hook}");
    }
    gateway.shutdown().await;
}
