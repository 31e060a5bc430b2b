//! `bench`: what a plugin costs, before it goes live: each hook by direct calls, the making of instances, and their memory.
//!
//! It opens no socket. Figures are of this machine and this moment: they say which of two plugins costs more, and in which
//! hook, not what a gateway under load will take.

mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::Instant;

use self::report::{HookFigures, Report};
use crate::config::PluginEntry;
use crate::config::cases::{Cases, entry};
use crate::exchange::ResponseHead;
use crate::gateway::rehearsal::{Cue, Rehearsal};
use crate::plugin::{Hook, Unit, Warmer};
use crate::telemetry::resident_bytes;
use crate::units::TimeSpan;

/// Calls of one batch.
const BATCH: usize = 64;
/// Batches of one hook, at least and at most.
const BATCHES: (usize, usize) = (5, 20_000);
/// Instances that are made, at least and at most.
const MADE: (usize, usize) = (3, 300);
/// Instances that are held to see how much memory they take.
const HELD: usize = 16;
/// Longest time that may be asked for.
const MAX_TIME: Duration = Duration::from_secs(600);

/// The arguments of the command.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// The component
    #[arg(value_name = "PLUGIN.wasm")]
    plugin: PathBuf,
    /// The plugin's configuration, a file in TOML or, if it is called `.json`, JSON
    #[arg(long, value_name = "FILE", conflicts_with = "cases")]
    config: Option<PathBuf>,
    /// A case file (see `portcullis test`): configuration, budget and first exchange of its first case
    #[arg(long, value_name = "CASES.toml")]
    cases: Option<PathBuf>,
    /// Take the first case whose name holds this text
    #[arg(long, value_name = "TEXT", requires = "cases")]
    filter: Option<String>,
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    time: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    let TimeSpan(time) = text.parse().map_err(|error| format!("{error}"))?;
    if time.is_zero() || time > MAX_TIME {
        return Err("from 1ms to 10m".to_owned());
    }
    Ok(time)
}

impl Bench {
    /// Measures and prints.
    pub(super) fn run(self) -> ExitCode {
        match self.measured() {
            Ok(text) => {
                println!("{}", text.trim_end());
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn measured(self) -> anyhow::Result<String> {
        let (entry, upstreams, cue) = self.asked()?;
        let said = |error: &dyn std::fmt::Display| anyhow::anyhow!("{}: {error}", self.plugin.display());
        let bytes = std::fs::read(&self.plugin).map_err(|e| said(&e))?;
        let loader = super::loader();
        loader.engine().map_err(|e| said(&e))?;
        let began = Instant::now();
        let compiled = loader.compile(&bytes).map_err(|e| said(&e))?;
        let compile = began.elapsed();
        let unit = compiled.load(&loader, &entry, &bytes).map_err(|e| said(&e))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let local = tokio::task::LocalSet::new();
        let report = local.block_on(&runtime, async {
            let rehearsal = Rehearsal::new(
                Arc::clone(&unit),
                &upstreams,
                loader.telemetry(),
                Warmer::start()?,
            )?;
            let course = Course {
                rehearsal,
                unit: Arc::clone(&unit),
                cue,
                time: self.time,
            };
            course.run(compile, bytes.len()).await
        })?;
        if self.json {
            Ok(serde_json::to_string_pretty(&report)?)
        } else {
            Ok(report.to_string())
        }
    }

    /// The entry, upstreams that hooks may name, and the exchange.
    fn asked(&self) -> anyhow::Result<(PluginEntry, Vec<Arc<str>>, Cue)> {
        let name = self.plugin.file_stem().unwrap_or_default().to_string_lossy();
        let Some(path) = &self.cases else {
            return Ok((entry(&name, self.config.as_deref())?, Vec::new(), plausible()));
        };
        let Cases { upstreams, cases } = Cases::load(path, &name)?;
        let wanted = self.filter.as_deref().unwrap_or_default();
        let case = cases.into_iter().find(|case| {
            let is_wanted = case.name.contains(wanted);
            is_wanted && case.refused.is_none()
        });
        match case.as_ref().and_then(|case| Some((case, case.steps.first()?))) {
            Some((case, step)) => Ok((case.entry.clone(), upstreams, super::test::cue(step))),
            None => anyhow::bail!("{}: there is no such case", path.display()),
        }
    }
}

/// A request as clients send it, and an answer.
fn plausible() -> Cue {
    let fields = |list: &[(&'static str, &'static str)]| {
        let fields = list.iter();
        fields
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect::<HeaderMap>()
    };
    Cue {
        method: Method::POST,
        target: http::uri::PathAndQuery::from_static("/v1/orders/42?page=2&sort=asc"),
        headers: fields(&[
            ("accept", "application/json"),
            ("accept-encoding", "gzip, br"),
            ("content-type", "application/json"),
            ("user-agent", "portcullis-bench/1"),
            ("x-request-id", "0af7651916cd43dd8448eb211c80319c"),
        ]),
        body: Bytes::from_static(b"{\"sku\": \"ABC-1\", \"count\": 2, \"note\": \"as soon as you can\"}"),
        client_ip: std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)),
        attributes: Vec::new(),
        response: Some((
            ResponseHead {
                status: StatusCode::OK,
                headers: fields(&[("content-type", "application/json"), ("server", "orders/1")]),
            },
            Bytes::from_static(
                b"{\"id\": 42, \"state\": \"accepted\", \"items\": [{\"sku\": \"ABC-1\", \"count\": 2}]}",
            ),
        )),
    }
}

/// All measurements of one plugin.
struct Course {
    rehearsal: Rehearsal,
    unit: Arc<Unit>,
    cue: Cue,
    time: Duration,
}

impl Course {
    async fn run(&self, compile: Duration, size: usize) -> anyhow::Result<Report> {
        let hooks = self.rehearsal.hooks();
        let parts = u32::try_from(hooks.len()).unwrap_or(u32::MAX).saturating_add(2);
        let share = self.time / parts;
        let mut figures = Vec::new();
        for hook in &hooks {
            figures.push(self.hook(*hook, share).await?);
        }
        let mut starts = Vec::new();
        let end = Instant::now() + share;
        while starts.len() < MADE.0 || (starts.len() < MADE.1 && Instant::now() < end) {
            let began = Instant::now();
            let instance = self.unit.instantiate()?;
            starts.push(began.elapsed());
            drop(instance);
        }
        let reused = figures.iter().map(|hook: &HookFigures| hook.median_ns).sum();
        let fresh = self.fresh(&hooks, share).await?;
        let (linear, resident) = self.memory(&hooks).await?;
        Ok(Report {
            name: self.unit.manifest.name.clone(),
            version: self.unit.manifest.version.clone(),
            sha256: self.unit.hash.to_string(),
            bytes: size,
            compile_ns: ns(compile),
            start_ns: median(&mut starts),
            linear_bytes: linear,
            resident_bytes: resident,
            reused_ns: reused,
            fresh_ns: fresh,
            hooks: figures,
        })
    }

    /// One hook: its first calls in new instances, then batches in one.
    async fn hook(&self, hook: Hook, share: Duration) -> anyhow::Result<HookFigures> {
        let end = Instant::now() + share;
        let mut first = Vec::new();
        while first.len() < MADE.0 || (first.len() < HELD && Instant::now() + share / 2 < end) {
            let mut instance = self.unit.instantiate()?;
            let lap = self.rehearsal.time(&mut instance, hook, &self.cue, 1).await?;
            first.push(lap.took);
        }
        let mut instance = self.unit.instantiate()?;
        let mut laps = Vec::new();
        let mut verdict = "none";
        while laps.len() < BATCHES.0 || (laps.len() < BATCHES.1 && Instant::now() < end) {
            let lap = self.rehearsal.time(&mut instance, hook, &self.cue, BATCH).await?;
            laps.push(lap.took);
            verdict = lap.verdict;
        }
        let calls = u64::try_from(BATCH).unwrap_or(u64::MAX);
        let fastest = laps.iter().min().copied().unwrap_or_default();
        Ok(HookFigures {
            hook: hook.name(),
            verdict,
            median_ns: median(&mut laps) / calls,
            fastest_ns: ns(fastest) / calls,
            first_ns: median(&mut first),
            calls: laps.len() * BATCH,
        })
    }

    /// One instance for each exchange: made, called in every hook, and dropped.
    async fn fresh(&self, hooks: &[Hook], share: Duration) -> anyhow::Result<u64> {
        let mut times = Vec::new();
        let end = Instant::now() + share;
        while times.len() < MADE.0 || (times.len() < MADE.1 && Instant::now() < end) {
            let began = Instant::now();
            let mut instance = self.unit.instantiate()?;
            let mut took = began.elapsed();
            for hook in hooks {
                took += self
                    .rehearsal
                    .time(&mut instance, *hook, &self.cue, 1)
                    .await?
                    .took;
            }
            let began = Instant::now();
            drop(instance);
            times.push(took + began.elapsed());
        }
        Ok(median(&mut times))
    }

    /// Bytes of linear memory of an instance that has served, and by how much one more makes the process larger.
    async fn memory(&self, hooks: &[Hook]) -> anyhow::Result<(u64, Option<u64>)> {
        let before = resident_bytes();
        let mut held = Vec::new();
        for _ in 0..HELD {
            let mut instance = self.unit.instantiate()?;
            for hook in hooks {
                self.rehearsal.time(&mut instance, *hook, &self.cue, 1).await?;
            }
            held.push(instance);
        }
        let after = resident_bytes();
        let linear = held.iter().map(|instance| instance.memory()).max().unwrap_or(0);
        let count = u64::try_from(HELD).unwrap_or(u64::MAX);
        let resident = before
            .zip(after)
            .map(|(before, after)| after.saturating_sub(before) / count);
        Ok((linear, resident))
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The middle one, in nanoseconds.
fn median(times: &mut [Duration]) -> u64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().map_or(0, ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let mut times = [5, 1, 9].map(Duration::from_nanos);
        assert_eq!(median(&mut times), 5);
        assert_eq!(median(&mut []), 0);
    }

    #[test]
    fn the_time_is_bounded() {
        assert_eq!(time("200ms"), Ok(Duration::from_millis(200)));
        for wrong in ["0s", "11m", "soon"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
