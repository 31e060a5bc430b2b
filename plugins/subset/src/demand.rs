//! What a request asks of its endpoint. Knows no endpoint.

use std::borrow::Cow;

use portcullis::headers;
use portcullis::prelude::*;

use crate::Config;

/// Labels that can be asked for: an endpoint has no more.
const MAX_LABELS: usize = 16;

/// Where the values of labels come from.
#[derive(Debug)]
pub(crate) struct Demands(Vec<Demand>);

#[derive(Debug)]
struct Demand {
    label: String,
    /// None for a label that has its default alone.
    source: Option<Source>,
    default: Option<String>,
}

#[derive(Debug)]
enum Source {
    Header(String),
    Attribute(String),
}

impl Demands {
    /// As the configuration says.
    ///
    /// # Errors
    /// Which key cannot be so.
    pub(crate) fn new(mut config: Config) -> Result<Self, String> {
        if config.labels.is_empty() {
            return Err("`labels` is empty, so that there is nothing to pick by".to_owned());
        }
        let mut demands = Vec::new();
        for (label, source) in config.labels {
            demands.push(Demand {
                source: Some(Source::new(&label, &source)?),
                default: config.default.remove(&label),
                label,
            });
        }
        let fixed = config.default.into_iter().map(|(label, value)| Demand {
            label,
            source: None,
            default: Some(value),
        });
        demands.extend(fixed);
        if demands.len() > MAX_LABELS {
            return Err(format!("`labels` and `default`: at most {MAX_LABELS} labels"));
        }
        Ok(Self(demands))
    }

    /// Labels with the values that a request asks for; those without a value are not asked for.
    pub(crate) fn of(&self, request: &Request) -> Vec<(&str, Cow<'_, str>)> {
        let value = |demand: &Demand| match &demand.source {
            Some(Source::Header(name)) => request.header(name),
            Some(Source::Attribute(key)) => request.attribute(key),
            None => None,
        };
        let demands = self.0.iter().filter_map(|demand| {
            let own = value(demand).map(Cow::Owned);
            let value = own.or_else(|| demand.default.as_deref().map(Cow::Borrowed))?;
            Some((demand.label.as_str(), value))
        });
        demands.collect()
    }

    /// Labels with their defaults.
    pub(crate) fn fallback(&self) -> impl Iterator<Item = (&str, &str)> {
        let demands = self.0.iter();
        demands.filter_map(|demand| Some((demand.label.as_str(), demand.default.as_deref()?)))
    }
}

impl Source {
    fn new(label: &str, text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("header", name)) if headers::is_name(&name.to_ascii_lowercase()) => {
                Ok(Self::Header(name.to_ascii_lowercase()))
            }
            Some(("attribute", key)) if !key.is_empty() => Ok(Self::Attribute(key.to_owned())),
            _ => Err(format!(
                "`labels.{label}`: {text:?} is neither `header:NAME` nor `attribute:KEY`"
            )),
        }
    }
}
