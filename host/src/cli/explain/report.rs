//! What `explain` has to say, for people and machines alike.
//!
//! It refuses to know how it is laid out.

use http::header::HOST;
use serde::Serialize;

use super::entry::{Components, EntryReport};
use super::question::Question;
use super::reason;
use crate::config::{Config, Element, Step, Target};
use crate::gateway::{Explained, Generation, Matched};
use crate::message::problem::ErrorKind;
use crate::route::PathKind;

/// Most routes that are listed as passed over.
const MAX_PASSED: usize = 20;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    pub(super) request: RequestReport,
    pub(super) listener: ListenerReport,
    /// Asked before the table; they may name another route.
    pub(super) routers: Vec<EntryReport>,
    /// Why there is no route.
    pub(super) refused: Option<Refusal>,
    pub(super) route: Option<RouteReport>,
    pub(super) passed_over: Vec<PassedOver>,
    /// How many more were passed over.
    pub(super) passed_over_more: usize,
    pub(super) pipeline: Vec<ElementReport>,
    pub(super) target: Option<TargetReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RequestReport {
    pub(super) method: String,
    /// As it was written.
    pub(super) target: String,
    /// As it is matched and forwarded.
    pub(super) path: String,
    pub(super) host: String,
    pub(super) client_ip: String,
    /// The name that the client's handshake asked for; none in clear.
    pub(super) sni: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ListenerReport {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) origin: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) status: u16,
    pub(super) meaning: &'static str,
    /// Whether no route was looked for.
    pub(super) before_routing: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RouteReport {
    pub(super) name: String,
    pub(super) origin: String,
    /// The pattern that fits; none = any host.
    pub(super) host: Option<String>,
    /// `exact`, `wildcard` or `any`.
    pub(super) host_kind: &'static str,
    pub(super) path: String,
    /// `whole` or `prefix`.
    pub(super) path_kind: &'static str,
    /// What else it demands.
    pub(super) demands: Vec<String>,
    pub(super) captures: Vec<Capture>,
}

#[derive(Debug, Serialize)]
pub(super) struct Capture {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug, Serialize)]
pub(super) struct PassedOver {
    pub(super) route: String,
    pub(super) origin: String,
    pub(super) reason: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ElementReport {
    /// Where it is written.
    pub(super) origin: String,
    /// `listener` or `route`.
    pub(super) of: &'static str,
    /// Named lists that it came through, the outermost first.
    pub(super) lists: Vec<String>,
    /// Whether the first of its entries that lets the request in is enough.
    pub(super) any: bool,
    pub(super) entries: Vec<EntryReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TargetReport {
    /// Servers.
    Upstream {
        name: String,
        origin: String,
        endpoints: Vec<String>,
        /// The plugin that picks one of them, if one does.
        balancer: Option<EntryReport>,
    },
    /// A plugin that answers.
    Responder(EntryReport),
}

impl Report {
    pub(super) fn new(generation: &Generation, question: &Question, explained: &Explained) -> Self {
        let config = &*generation.config;
        let mut components = Components::default();
        let matched = explained.matched.as_ref();
        let route = matched.map(|matched| matched.route);
        let mut passed: Vec<_> = passed_over(config, question, explained).collect();
        let more = passed.len().saturating_sub(MAX_PASSED);
        passed.truncate(MAX_PASSED);
        let routers = config.gateway.routers.iter();
        let refused = explained.refused.map(|kind| Refusal {
            code: kind.code(),
            status: kind.status().as_u16(),
            meaning: kind.meaning(),
            before_routing: kind != ErrorKind::NoRoute,
        });
        let routed = refused.as_ref().is_none_or(|refused| !refused.before_routing);
        Self {
            request: RequestReport {
                method: question.method.to_string(),
                target: question.target.to_string(),
                path: explained.path.clone(),
                host: if routed {
                    explained.host.clone()
                } else {
                    written_host(question)
                },
                client_ip: explained.client_ip.to_string(),
                sni: explained.sni.clone(),
            },
            listener: listener(config, question.listener),
            routers: routers
                .filter(|_| routed)
                .filter_map(|entry| Some(components.report(config.plugins.get(*entry)?)))
                .collect(),
            refused,
            route: matched.and_then(|matched| route_report(config, matched, explained)),
            passed_over: passed,
            passed_over_more: more,
            pipeline: if routed {
                pipeline(generation, question.listener, route, &mut components)
            } else {
                Vec::new()
            },
            target: route.and_then(|route| target(config, route, &mut components)),
        }
    }
}

/// The host as the client wrote it, which may be none.
fn written_host(question: &Question) -> String {
    let written = question.headers.get(HOST).map(|host| host.as_bytes());
    String::from_utf8_lossy(written.unwrap_or_default()).into_owned()
}

fn listener(config: &Config, index: usize) -> ListenerReport {
    let listener = config.listeners.get(index);
    ListenerReport {
        name: listener.map(|l| l.name.to_string()).unwrap_or_default(),
        address: listener.map(|l| l.address.to_string()).unwrap_or_default(),
        origin: listener.map(|l| l.origin.to_string()).unwrap_or_default(),
    }
}

fn route_report(config: &Config, matched: &Matched, explained: &Explained) -> Option<RouteReport> {
    let route = config.routes.get(matched.route)?;
    let host = matched.stand.host.as_ref().map(ToString::to_string);
    let captures = route.rule.path.captures(&explained.path);
    Some(RouteReport {
        name: route.name.to_string(),
        origin: route.origin.to_string(),
        host_kind: match &host {
            Some(host) if host.starts_with("*.") => "wildcard",
            Some(_) => "exact",
            None => "any",
        },
        host,
        path: reason::path(&route.rule),
        path_kind: match matched.stand.path {
            PathKind::Whole => "whole",
            PathKind::Prefix => "prefix",
        },
        demands: reason::demands(&route.rule),
        captures: captures
            .map(|(name, value)| Capture {
                name: name.to_owned(),
                value: value.to_owned(),
            })
            .collect(),
    })
}

/// Routes of the listener that were not taken, the nearest first, then those of other listeners.
fn passed_over<'a>(
    config: &'a Config,
    question: &'a Question,
    explained: &'a Explained,
) -> impl Iterator<Item = PassedOver> + 'a {
    let here = explained.passed.iter().filter_map(|(index, passed)| {
        let route = config.routes.get(*index)?;
        let reason = reason::passed_over(passed, &route.rule, explained, &question.headers);
        Some((route, reason))
    });
    let routed = matches!(explained.refused, None | Some(ErrorKind::NoRoute));
    let elsewhere = config
        .routes
        .iter()
        .filter(move |route| routed && !route.is_on(question.listener))
        .map(|route| (route, "is not on this listener".to_owned()));
    here.chain(elsewhere).map(|(route, reason)| PassedOver {
        route: route.name.to_string(),
        origin: route.origin.to_string(),
        reason,
    })
}

fn pipeline(
    generation: &Generation,
    listener: usize,
    route: Option<usize>,
    components: &mut Components,
) -> Vec<ElementReport> {
    let config = &generation.config;
    let inherits = route
        .and_then(|route| config.routes.get(route))
        .is_none_or(|route| route.inherit);
    let inherited = match config.listeners.get(listener) {
        Some(listener) if inherits => listener.pipeline.len(),
        _ => 0,
    };
    let elements = generation.pipeline(listener, route).enumerate();
    let mut report = |(index, element): (usize, &Element)| ElementReport {
        origin: element.origin.to_string(),
        of: if index < inherited { "listener" } else { "route" },
        lists: element.lists.iter().map(ToString::to_string).collect(),
        any: matches!(element.step, Step::Any(_)),
        entries: element
            .step
            .entries()
            .iter()
            .filter_map(|entry| Some(components.report(config.plugins.get(*entry)?)))
            .collect(),
    };
    elements.map(&mut report).collect()
}

fn target(config: &Config, route: usize, components: &mut Components) -> Option<TargetReport> {
    match config.routes.get(route)?.target {
        Target::Upstream(upstream) => {
            let upstream = config.upstreams.get(upstream)?;
            Some(TargetReport::Upstream {
                name: upstream.name.to_string(),
                origin: upstream.origin.to_string(),
                endpoints: upstream
                    .endpoints
                    .iter()
                    .map(|listed| listed.source.to_string())
                    .collect(),
                balancer: config.balancer(upstream).map(|entry| components.report(entry)),
            })
        }
        Target::Responder(entry) => Some(TargetReport::Responder(
            components.report(config.plugins.get(entry)?),
        )),
    }
}
