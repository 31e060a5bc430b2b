//! `cargo xtask demo`: upstreams, a gateway with the plugins of this repository, and what to try. `--check`
//! tries it itself. The gateway is the built binary, run as any operator would run it.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::arguments::Arguments;
use crate::demo::gateway::Gateway;
use crate::demo::site::{Ports, Site};
use crate::demo::upstream::Upstream;
use crate::tree::Tree;
use crate::{command, plugins, say};

mod check;
mod gateway;
mod http;
mod site;
mod trials;
mod upstream;

/// Names of the demo's upstream servers, in the order of their ports.
const UPSTREAMS: [&str; 4] = ["orders-1", "orders-2", "users-1", "users-2"];

/// Where the demo listens unless told otherwise.
const PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9901;
const UPSTREAM_PORT: u16 = 9001;

/// Runs the command.
pub(crate) fn run(tree: &Tree, words: &[String]) -> Result<()> {
    let mut arguments = Arguments::new(words);
    let check = arguments.flag("--check");
    let port = arguments.option("--port")?;
    let admin = arguments.option("--admin-port")?;
    let upstream = arguments.option("--upstream-port")?;
    arguments.finish()?;

    say::step("building the plugins and the gateway");
    plugins::build(tree)?;
    // The check runs beside the tests and takes their build of the gateway (see `test.rs`); a demo waits for less.
    let packages: &[&str] = if check {
        &["--workspace", "--bins", "--tests"]
    } else {
        &["-p", "portcullis"]
    };
    command::run(command::cargo(tree).arg("build").args(packages))?;

    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot catch Ctrl-C")?;
    }

    let (upstreams, ports) = if check {
        let upstreams = start_upstreams(None)?;
        let free = free_ports()?;
        (
            upstreams,
            Ports {
                port: port.unwrap_or(free[0]),
                admin: admin.unwrap_or(free[1]),
            },
        )
    } else {
        let ports = Ports {
            port: port.unwrap_or(PORT),
            admin: admin.unwrap_or(ADMIN_PORT),
        };
        must_be_free(ports.port, "--port")?;
        must_be_free(ports.admin, "--admin-port")?;
        (start_upstreams(Some(upstream.unwrap_or(UPSTREAM_PORT)))?, ports)
    };

    let site = Site::write(tree, if check { "demo-check" } else { "demo" }, ports, &upstreams)?;
    let mut gateway = Gateway::start(tree, &site)?;
    gateway.wait_until_ready(&site, &stop)?;
    if check {
        return check::run(tree, &site, gateway);
    }
    say::text(&trials::guide(tree, &site, &upstreams));
    while !stop.load(Ordering::Relaxed) {
        if let Some(status) = gateway.ended()? {
            bail!("the gateway ended by itself ({status})");
        }
        thread::sleep(Duration::from_millis(100));
    }
    say::line("\nstopping");
    gateway.stop().map(drop)
}

/// The upstream servers, from `first` on or on any free ports.
fn start_upstreams(first: Option<u16>) -> Result<Vec<Upstream>> {
    let mut next = first;
    let mut started = Vec::new();
    for name in UPSTREAMS {
        if let Some(port) = next {
            must_be_free(port, "--upstream-port")?;
        }
        started.push(Upstream::start(name, next.unwrap_or(0))?);
        next = next.and_then(|port| port.checked_add(1));
    }
    Ok(started)
}

/// Two ports that nothing listens on. Somebody may take one before the gateway does; it says so then.
fn free_ports() -> Result<[u16; 2]> {
    let first = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    let second = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok([first.local_addr()?.port(), second.local_addr()?.port()])
}

fn must_be_free(port: u16, option: &str) -> Result<()> {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(problem) => bail!(
            "port {port} cannot be used ({problem}): stop what listens there, or choose another with {option} N"
        ),
    }
}
