//! The commands of the binary. The only place that prints and decides exit codes.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the program's voice"
)]

mod bench;
mod explain;
mod test;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::config::{self, LogFormat, manual};
use crate::engine::Format;
use crate::gateway::{Gateway, Options};
use crate::plugin::{Loader, Registry, Summary};
use crate::store::Stores;
use crate::telemetry::Telemetry;
use crate::telemetry::log::{self, LogSettings, LogStyle};

/// The environment variable that overrides the number of workers.
const WORKERS: &str = "PORTCULLIS_WORKERS";

/// An API gateway whose features are sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or Ctrl-C
    Run {
        /// The configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration and the plugins that it names, without running anything
    Check {
        /// The configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Show what a plugin is: hooks, imports wanted, schema, size
    Inspect {
        /// The component
        #[arg(value_name = "PLUGIN.wasm")]
        plugin: PathBuf,
    },
    /// Play the cases of a file through a plugin in its sandbox, and compare what came of them
    Test(test::Test),
    /// Measure what a plugin costs: each hook, the making of instances, and their memory
    Bench(bench::Bench),
    /// Show the route that a request would get and why, its pipeline and its upstream, without running anything
    Explain(explain::Explain),
    /// Print the JSON Schema of the configuration file, for editors
    Schema {
        /// Print the keys as a Markdown document instead
        #[arg(long)]
        markdown: bool,
    },
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run { config } => run(config),
        Command::Check { config } => check(&config),
        Command::Inspect { plugin } => inspect(&plugin),
        Command::Schema { markdown } => schema(markdown),
        Command::Bench(bench) => return bench.run(),
        Command::Test(test) => return test.run(),
        Command::Explain(explain) => explain.run().map(|text| println!("{}", text.trim_end())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(path: PathBuf) -> anyhow::Result<()> {
    // The log's settings are in the file, so it is read twice: once for them, once by the gateway.
    let config = config::load(&path)?;
    let settings = LogSettings {
        style: match config.gateway.log.format {
            LogFormat::Text => LogStyle::Text,
            LogFormat::Json => LogStyle::Json,
        },
        filter: config.gateway.log.level.clone(),
    };
    let workers = workers()?;
    let count = workers
        .or(config.gateway.workers)
        .unwrap_or_else(crate::gateway::cores);
    let telemetry = Arc::new(Telemetry::new(count));
    let _log = log::init(&settings, &telemetry)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Signals are caught before the start, so that one that comes early is not lost.
    let _guard = runtime.enter();
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let running = Gateway::start_counting(
        Options {
            config: path,
            workers: Some(count),
        },
        Some(telemetry),
    )?;
    runtime.block_on(async {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        running.shutdown().await;
    });
    Ok(())
}

fn workers() -> anyhow::Result<Option<usize>> {
    match std::env::var(WORKERS) {
        Err(_) => Ok(None),
        Ok(text) => match text.parse() {
            Ok(n) if (1..=1024).contains(&n) => Ok(Some(n)),
            _ => anyhow::bail!("{WORKERS} is `{text}`; it must be a number from 1 to 1024"),
        },
    }
}

fn check(path: &Path) -> anyhow::Result<()> {
    let config = config::load(path)?;
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
    let (routes, plugins) = (config.routes.len(), config.plugins.len());
    let mut registry = Registry::new(loader(), path);
    let slots = registry.resolve(&config);
    let generation = crate::gateway::Generation::new(0, config, slots, None);
    let mut wrong = 0;
    for (slot, entry) in generation.slots.iter().zip(&generation.config.plugins) {
        if let Some(reason) = slot.problem() {
            wrong += 1;
            eprintln!(
                "error: plugin entry `{}`: {reason}\n --> {}",
                entry.name, entry.origin
            );
        }
    }
    for entry in generation.useless_routers() {
        eprintln!(
            "warning: plugin entry `{}` is one of `routers`, but has no hook `router`\n --> {}",
            entry.name, entry.origin
        );
    }
    if wrong > 0 {
        anyhow::bail!("{wrong} of {plugins} plugin entries cannot run");
    }
    println!(
        "{}: good ({routes} routes, {plugins} plugin entries)",
        path.display()
    );
    Ok(())
}

fn inspect(path: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
    let Summary {
        hash,
        size,
        format,
        hooks,
        imports,
        manifest,
    } = loader()
        .inspect(&bytes)
        .map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
    let list = |items: &[String]| {
        if items.is_empty() {
            "none".to_owned()
        } else {
            items.join(", ")
        }
    };
    println!("plugin   {} {}", manifest.name, manifest.version);
    let kind = match format {
        Format::Component => "",
        Format::CoreModule => ", a core module",
    };
    println!("file     {} ({size} bytes{kind})", path.display());
    println!("sha256   {hash}");
    println!("hooks    {}", list(&hooks));
    println!("imports  {}", list(&imports));
    for (key, value) in &manifest.labels {
        println!("label    {key} = {value}");
    }
    match serde_json::from_str::<serde_json::Value>(&manifest.config_schema) {
        Ok(schema) => println!("schema   {}", serde_json::to_string_pretty(&schema)?),
        Err(_) => println!("schema   none: any configuration is accepted"),
    }
    Ok(())
}

fn schema(markdown: bool) -> anyhow::Result<()> {
    if markdown {
        print!("{}", manual::markdown());
    } else {
        println!("{}", serde_json::to_string_pretty(&manual::schema())?);
    }
    Ok(())
}

/// A loader that keeps nothing.
fn loader() -> Loader {
    Loader::new(None, 1, Arc::new(Stores::new()), Arc::new(Telemetry::new(1)))
}
