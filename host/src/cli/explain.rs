//! `explain`: which route a request would get and why, and what its pipeline is made of.
//!
//! It reads the configuration and the components' exports, and runs nothing.

mod entry;
mod question;
mod reason;
mod report;
mod text;

use std::path::PathBuf;

use clap::Args;
use http::{HeaderName, HeaderValue, Method};

use crate::config;
use crate::gateway::Generation;
use question::Question;
use report::Report;

/// The arguments of the command.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The request's method
    #[arg(value_name = "METHOD", value_parser = method)]
    method: Method,
    /// The URL, or only its path and query
    #[arg(value_name = "URL")]
    url: String,
    /// A header field of the request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = field)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Where the connection comes from
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client_ip: std::net::IpAddr,
    /// The name that the handshake of TLS asks for, where it is not the URL's host
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// The listener that takes the request; needed when there are several and the URL's port does not tell
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// What the command prints.
    ///
    /// # Errors
    /// When the configuration is wrong, or the request is none.
    pub(super) fn run(self) -> anyhow::Result<String> {
        let config = config::load(&self.config)?;
        let question = Question::new(
            self.method,
            &self.url,
            self.headers,
            self.listener.as_deref(),
            &config,
        )?;
        if self.sni.is_some() && !question.is_secured(&config) {
            anyhow::bail!("the listener has no TLS, so that no client asks it for a name");
        }
        let generation = Generation::new(0, config, Vec::new(), None);
        let sni = self.sni.as_deref();
        let explained = generation.explain(question.listener, self.client_ip, sni, question.parts());
        let Some(explained) = explained else {
            anyhow::bail!("there is no such listener");
        };
        let report = Report::new(&generation, &question, &explained);
        if self.json {
            Ok(serde_json::to_string_pretty(&report)?)
        } else {
            Ok(report.to_string())
        }
    }
}

fn method(text: &str) -> Result<Method, String> {
    Method::from_bytes(text.as_bytes()).map_err(|_| "write for example GET".to_owned())
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write `name: value`")?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|error| error.to_string())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    Ok((name, value))
}
