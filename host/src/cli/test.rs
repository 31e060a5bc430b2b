//! `test`: the cases of a file, played through a plugin in its sandbox, and what came of them against what was expected.
//!
//! It opens no socket, and knows no hook's meaning.

mod judge;
mod lines;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use self::lines::Lines;
use crate::clock;
use crate::config::cases::{Case, Cases, Step};
use crate::config::{Diagnostic, Problems};
use crate::exchange::ResponseHead;
use crate::gateway::rehearsal::{Cue, Rehearsal};
use crate::plugin::{Compiled, LoadError, Loader, Warmer};

/// The exit code of what is no failure of the plugin: a case file or a component that cannot be used.
const UNUSABLE: u8 = 2;

/// The arguments of the command.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// The component
    #[arg(value_name = "PLUGIN.wasm")]
    plugin: PathBuf,
    /// The case file (TOML)
    #[arg(value_name = "CASES.toml")]
    cases: PathBuf,
    /// Run only cases whose names hold this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

impl Test {
    /// Runs the cases and prints what came of each. The exit code is 0 when all passed, 1 when one failed, and 2 when
    /// they could not be run.
    pub(super) fn run(self) -> ExitCode {
        match self.judged() {
            Ok(0) => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::from(UNUSABLE)
            }
        }
    }

    /// How many cases failed.
    fn judged(self) -> anyhow::Result<usize> {
        let name = self.plugin.file_stem().unwrap_or_default().to_string_lossy();
        let cases = Cases::load(&self.cases, &name)?;
        let bytes =
            std::fs::read(&self.plugin).map_err(|e| anyhow::anyhow!("{}: {e}", self.plugin.display()))?;
        let bench =
            Stand::new(bytes, &cases).map_err(|e| anyhow::anyhow!("{}: {e:#}", self.plugin.display()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let local = tokio::task::LocalSet::new();
        let (mut passed, mut failed) = (0_usize, 0_usize);
        let wanted = |case: &&Case| {
            let filter = self.filter.as_deref();
            filter.is_none_or(|text| case.name.contains(text))
        };
        for case in cases.cases.iter().filter(wanted) {
            let found = local.block_on(&runtime, bench.run(case))?;
            if found.is_empty() {
                passed += 1;
                println!("ok    {}", case.name);
            } else {
                failed += 1;
                println!("FAIL  {}\n{}\n", case.name, Problems(found));
            }
        }
        if passed + failed == 0 {
            anyhow::bail!("{}: there is no such case", self.cases.display());
        }
        println!("{passed} passed, {failed} failed");
        Ok(failed)
    }
}

/// What all cases have in common.
struct Stand<'c> {
    loader: Loader,
    bytes: Vec<u8>,
    compiled: Compiled,
    cases: &'c Cases,
    warmer: Warmer,
    lines: Lines,
    _log: tracing::subscriber::DefaultGuard,
}

impl<'c> Stand<'c> {
    fn new(bytes: Vec<u8>, cases: &'c Cases) -> anyhow::Result<Self> {
        let loader = super::loader();
        // What no case could make good is said once.
        loader.inspect(&bytes)?;
        let compiled = loader.compile(&bytes)?;
        let lines = Lines::default();
        Ok(Self {
            loader,
            bytes,
            compiled,
            cases,
            warmer: Warmer::start()?,
            _log: lines.listen(),
            lines,
        })
    }

    /// What a case found wrong.
    ///
    /// # Errors
    /// When the case cannot be run at all.
    async fn run(&self, case: &Case) -> anyhow::Result<Vec<Diagnostic>> {
        let loader = self.loader.apart()?;
        let unit = match (
            self.compiled.load(&loader, &case.entry, &self.bytes),
            &case.refused,
        ) {
            (Ok(unit), None) => unit,
            (Ok(_), Some(refused)) => {
                let message = "expected that the plugin refuses its configuration, and it takes it";
                return Ok(vec![refused.place.problem(message.to_owned(), None)]);
            }
            (Err(error), Some(refused)) if is_refusal(&error) => {
                let text = error.to_string();
                if text.contains(&refused.what) {
                    return Ok(Vec::new());
                }
                let message = format!("expected a refusal with `{}`", refused.what);
                return Ok(vec![
                    refused.place.problem(message, Some(format!("found: {text}"))),
                ]);
            }
            (Err(LoadError::Config(found)), None) => return Ok(found),
            (Err(LoadError::Refused(found)), None) => return Ok(vec![*found]),
            (Err(error), _) => return Ok(vec![case.place.problem(error.to_string(), None)]),
        };
        let made = Rehearsal::new(
            unit,
            &self.cases.upstreams,
            loader.telemetry(),
            self.warmer.clone(),
        );
        let rehearsal = match made {
            Ok(rehearsal) => rehearsal,
            Err(fault) => return Ok(vec![case.place.problem(fault.to_string(), None)]),
        };
        let mut found = Vec::new();
        let mut ahead = Duration::ZERO;
        for (index, step) in case.steps.iter().enumerate() {
            ahead = ahead.saturating_add(step.advance);
            clock::set_ahead(ahead);
            self.lines.take();
            let played = rehearsal.play(cue(step)).await;
            let wrong = judge::wrong(&step.expect, &played, &self.lines.take());
            found.extend(wrong.into_iter().map(|problem| numbered(problem, index, case)));
        }
        clock::set_ahead(Duration::ZERO);
        Ok(found)
    }
}

/// With several exchanges, which of them it was.
fn numbered(mut problem: Diagnostic, index: usize, case: &Case) -> Diagnostic {
    if case.steps.len() > 1 {
        problem.message.push_str(&format!(" (step {})", index + 1));
    }
    problem
}

fn is_refusal(error: &LoadError) -> bool {
    matches!(error, LoadError::Config(_) | LoadError::Refused(_))
}

/// What a step puts in.
pub(super) fn cue(step: &Step) -> Cue {
    let response = step.response.as_ref().map(|told| {
        let head = ResponseHead {
            status: told.status,
            headers: told.headers.clone(),
        };
        (head, told.body.clone())
    });
    Cue {
        method: step.method.clone(),
        target: step.target.clone(),
        headers: step.headers.clone(),
        body: step.body.clone(),
        client_ip: step.client_ip,
        attributes: step.attributes.clone(),
        response,
    }
}
