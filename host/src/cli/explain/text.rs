//! The report of `explain` as text for people.
//!
//! It refuses to leave anything out that the JSON has, but for what has its default.

use std::fmt;

use super::entry::EntryReport;
use super::report::{ElementReport, Report, RouteReport, TargetReport};

/// Before lines that belong to the one above.
const INDENT: &str = "           ";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = &self.request;
        writeln!(f, "request    {} {}", request.method, request.target)?;
        write!(
            f,
            "{INDENT}host {}, path {}, client {}",
            request.host, request.path, request.client_ip
        )?;
        if let Some(sni) = &request.sni {
            write!(f, ", server name {sni}")?;
        }
        writeln!(f)?;
        let listener = &self.listener;
        writeln!(
            f,
            "listener   {} on {}  {}",
            listener.name, listener.address, listener.origin
        )?;
        for router in &self.routers {
            writeln!(f, "router     {}  {}", router.name, router.origin)?;
            writeln!(f, "{INDENT}is asked before the table and may name another route")?;
            entry(f, router)?;
        }
        if let Some(refused) = &self.refused {
            writeln!(f, "route      none: {} `{}`", refused.status, refused.code)?;
            writeln!(f, "{INDENT}{}", refused.meaning)?;
            if refused.before_routing {
                writeln!(
                    f,
                    "{INDENT}Neither a router nor the route table is asked, and no plugin is run."
                )?;
            }
        }
        if let Some(found) = &self.route {
            route(f, found)?;
        }
        for (index, passed) in self.passed_over.iter().enumerate() {
            let word = if index == 0 { "passed     " } else { INDENT };
            writeln!(f, "{word}{}  {}  {}", passed.route, passed.origin, passed.reason)?;
        }
        if self.passed_over_more > 0 {
            writeln!(f, "{INDENT}and {} more routes", self.passed_over_more)?;
        }
        if self.pipeline.is_empty() {
            writeln!(f, "pipeline   empty")?;
        }
        for (index, element) in self.pipeline.iter().enumerate() {
            stage(f, index, element)?;
        }
        match &self.target {
            Some(TargetReport::Upstream {
                name,
                origin,
                endpoints,
                balancer,
            }) => {
                writeln!(f, "upstream   {name}  {origin}")?;
                write!(f, "{INDENT}{}", endpoints.join(", "))?;
                balancer.as_ref().map_or(Ok(()), |balancer| {
                    writeln!(f, "\nbalancer   {}  {}", balancer.name, balancer.origin)?;
                    entry(f, balancer)
                })
            }
            Some(TargetReport::Responder(responder)) => {
                writeln!(f, "responder  {}  {}", responder.name, responder.origin)?;
                entry(f, responder)
            }
            None => write!(f, "upstream   none: the gateway answers itself"),
        }
    }
}

fn route(f: &mut fmt::Formatter<'_>, route: &RouteReport) -> fmt::Result {
    writeln!(f, "route      {}  {}", route.name, route.origin)?;
    match &route.host {
        Some(host) => writeln!(f, "{INDENT}host {host} ({})", route.host_kind)?,
        None => writeln!(f, "{INDENT}any host")?,
    }
    writeln!(f, "{INDENT}path {} ({})", route.path, route.path_kind)?;
    for capture in &route.captures {
        writeln!(f, "{INDENT}{{{}}} = {}", capture.name, capture.value)?;
    }
    for demand in &route.demands {
        writeln!(f, "{INDENT}{demand}")?;
    }
    Ok(())
}

fn stage(f: &mut fmt::Formatter<'_>, index: usize, element: &ElementReport) -> fmt::Result {
    let word = if index == 0 { "pipeline   " } else { INDENT };
    let mut from = format!("of the {}", element.of);
    for list in &element.lists {
        from.push_str(", @");
        from.push_str(list);
    }
    let names: Vec<&str> = element.entries.iter().map(|entry| entry.name.as_str()).collect();
    let shown = if element.any {
        format!("any of {}", names.join(", "))
    } else {
        names.join(", ")
    };
    writeln!(f, "{word}{}. {shown}  {}  {from}", index + 1, element.origin)?;
    element.entries.iter().try_for_each(|reported| {
        if element.any {
            writeln!(f, "{INDENT}   {}  {}", reported.name, reported.origin)?;
        }
        entry(f, reported)
    })
}

/// The lines below an entry's name.
fn entry(f: &mut fmt::Formatter<'_>, entry: &EntryReport) -> fmt::Result {
    let hooks = match (&entry.hooks, &entry.problem) {
        (Some(hooks), _) if hooks.is_empty() => "no hooks".to_owned(),
        (Some(hooks), _) => format!("hooks {}", hooks.join(", ")),
        (None, problem) => format!("unusable: {}", problem.as_deref().unwrap_or("unknown")),
    };
    writeln!(f, "{INDENT}     {}: {hooks}", entry.component)?;
    let mut policy = vec![format!("on-fault {}", entry.on_fault)];
    if entry.allow_fail_open {
        policy.push("allow-fail-open".to_owned());
    }
    if !entry.grants.attributes.is_empty() {
        policy.push(format!(
            "may write attributes {}",
            entry.grants.attributes.join(", ")
        ));
    }
    writeln!(f, "{INDENT}     {}", policy.join("; "))
}
