//! How long one call of a hook takes: direct calls of one instance, in batches, each for an exchange of its own that is made
//! before the clock starts. It refuses to know how figures are shown.

use std::time::Duration;

use tokio::time::Instant;

use super::{Cue, Rehearsal, ok};
use crate::abi::Outcome;
use crate::exchange::{ErrorView, Exchange, ResponseHead, Seen};
use crate::message::problem::{ErrorKind, Problem};
use crate::pipeline::Verdict;
use crate::plugin::{At, Called, Fault, Hook, Instance};

/// The place of the plugin in its exchanges.
const STAGE: usize = 0;

/// What a batch of calls came to.
#[derive(Debug, Clone)]
pub struct Lap {
    /// Of all calls together.
    pub took: Duration,
    /// The verdict of the last one.
    pub verdict: &'static str,
}

impl Rehearsal {
    /// Hooks that can be timed: those that are exported, but for `balancer`, whose candidates are nobody's to make up.
    #[must_use]
    pub fn hooks(&self) -> Vec<Hook> {
        let hooks = Hook::ALL.into_iter();
        hooks
            .filter(|hook| {
                let timed = !matches!(
                    hook,
                    Hook::Configure | Hook::Balancer | Hook::BodyFilter | Hook::OnTick
                );
                timed && self.unit.has(*hook)
            })
            .collect()
    }

    /// Calls `hook` of `instance` so many times, each for an exchange that `on-request` has seen.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn time(
        &self,
        instance: &mut Instance,
        hook: Hook,
        cue: &Cue,
        calls: usize,
    ) -> Result<Lap, Fault> {
        let mut ready = Vec::with_capacity(calls);
        for _ in 0..calls {
            ready.push(self.before(instance, hook, cue).await?);
        }
        let mut lap = Lap {
            took: Duration::ZERO,
            verdict: "none",
        };
        // Dropped behind the clock, too.
        let mut done = Vec::with_capacity(calls);
        let began = Instant::now();
        for x in ready {
            let (x, verdict) = self.call(instance, hook, x, cue).await;
            lap.verdict = verdict?;
            done.push(x);
        }
        lap.took = began.elapsed();
        drop(done);
        Ok(lap)
    }

    fn at(&self) -> At {
        let timeout = self.unit.budget().timeout;
        self.unit.at(STAGE, None, || Instant::now() + timeout)
    }

    /// An exchange that has come to the hook.
    async fn before(&self, instance: &mut Instance, hook: Hook, cue: &Cue) -> Result<Box<Exchange>, Fault> {
        let (mut x, _) = self.exchange(cue, Instant::now());
        x.set_stages(STAGE + 2);
        if hook == Hook::Router {
            x.route = None;
            return Ok(x);
        }
        if hook == Hook::OnRequest {
            return Ok(x);
        }
        if self.unit.has(Hook::OnRequest) {
            let (back, answer) = instance.on_request(x, self.at()).await;
            answer?;
            x = back;
        }
        match hook {
            Hook::OnRequestBody => x.request_body = Seen::Whole,
            Hook::OnError => {
                let problem = Problem::new(ErrorKind::UpstreamConnectFailed);
                x.error = Some(ErrorView::from(&problem));
            }
            Hook::OnResponse | Hook::OnResponseBody | Hook::OnFinish => x.response = Some(response(cue)),
            _ => {}
        }
        Ok(x)
    }

    async fn call(
        &self,
        instance: &mut Instance,
        hook: Hook,
        x: Box<Exchange>,
        cue: &Cue,
    ) -> (Box<Exchange>, Result<&'static str, Fault>) {
        let at = self.at();
        let answer = || {
            let answer = cue.response.as_ref();
            answer.map(|(_, body)| body.clone()).unwrap_or_default()
        };
        match hook {
            Hook::Router => named(instance.route(x, at).await),
            Hook::OnRequestBody => named(instance.on_request_body(x, at, cue.body.clone()).await),
            Hook::Responder => named(instance.respond(x, at, cue.body.clone()).await),
            Hook::OnResponse => named(instance.on_response(x, at).await),
            Hook::OnResponseBody => named(instance.on_response_body(x, at, answer()).await),
            Hook::OnError => named(instance.on_error(x, at).await),
            Hook::OnFinish => {
                let outcome = Outcome {
                    status: response(cue).status.as_u16(),
                    bytes_in: cue.body.len() as u64,
                    bytes_out: answer().len() as u64,
                    total_us: 1_000,
                    upstream_us: 800,
                    aborted: false,
                };
                named(instance.on_finish(x, at, outcome).await)
            }
            _ => named(instance.on_request(x, at).await),
        }
    }
}

fn response(cue: &Cue) -> ResponseHead {
    let answer = cue.response.as_ref();
    answer.map_or_else(|| ok(http::StatusCode::OK), |(head, _)| head.clone())
}

fn named<T: Verdict>((x, answer): Called<T>) -> (Box<Exchange>, Result<&'static str, Fault>) {
    (x, answer.map(|answer| answer.name()))
}
