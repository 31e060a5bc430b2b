//! The tasks that keep the names of endpoints resolved, on the control thread. It refuses to know what an answer means.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::config;
use crate::upstream::{Dns, DnsSettings, Family, Shared, follow, names};

/// How long a configuration waits for the first answers.
const FIRST_ANSWERS: Duration = Duration::from_secs(3);

/// The tasks of the upstreams in force. They end when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Finders {
    dns: Option<(DnsSettings, Rc<Dns>)>,
    tasks: Vec<Task>,
}

#[derive(Debug)]
struct Task {
    upstream: Arc<Shared>,
    handles: Vec<AbortHandle>,
}

impl Finders {
    /// From now on the names of these upstreams are followed, and no others. Waits for the first answers of new ones, so
    /// that requests do not come before there is an endpoint. Within a `LocalSet`.
    pub(super) async fn follow(&mut self, config: &config::Dns, upstreams: &[Arc<Shared>]) {
        let mut before = std::mem::take(&mut self.tasks);
        let named: Vec<_> = upstreams
            .iter()
            .filter(|upstream| names(upstream).next().is_some())
            .collect();
        if named.is_empty() {
            return;
        }
        let wanted = settings(config);
        if self.dns.as_ref().is_none_or(|(settings, _)| *settings != wanted) {
            before.clear();
            match Dns::new(wanted.clone()) {
                Ok(dns) => self.dns = Some((wanted, dns)),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, "names of endpoints cannot be resolved");
                    return;
                }
            }
        }
        let Some((_, dns)) = &self.dns else { return };
        let mut firsts = Vec::new();
        for upstream in named {
            let known = before
                .iter()
                .position(|task| Arc::ptr_eq(&task.upstream, upstream));
            let task = match known {
                Some(at) => before.swap_remove(at),
                None => Task {
                    upstream: Arc::clone(upstream),
                    handles: names(upstream)
                        .map(|index| {
                            let (answered, first) = oneshot::channel();
                            firsts.push(first);
                            let work = follow(Arc::clone(upstream), index, Rc::clone(dns), answered);
                            tokio::task::spawn_local(work).abort_handle()
                        })
                        .collect(),
                },
            };
            self.tasks.push(task);
        }
        let all = async {
            for first in firsts {
                // A task that ended has said all that it has to say.
                drop(first.await);
            }
        };
        if tokio::time::timeout(FIRST_ANSWERS, all).await.is_err() {
            tracing::warn!("some names of endpoints are not resolved yet");
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handles.iter().for_each(AbortHandle::abort);
    }
}

fn settings(config: &config::Dns) -> DnsSettings {
    DnsSettings {
        servers: config.servers.clone(),
        family: match config.family {
            config::Family::V4First => Family::V4First,
            config::Family::V6First => Family::V6First,
            config::Family::V4 => Family::V4,
            config::Family::V6 => Family::V6,
            config::Family::Both => Family::Both,
        },
        min_ttl: config.min_ttl,
        max_ttl: config.max_ttl.max(config.min_ttl),
    }
}
