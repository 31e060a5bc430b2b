//! How many cells a request takes. Knows no quota but its size.

use std::collections::BTreeMap;

use portcullis::Request;

use crate::config::Limit;
use crate::key::Source;
use crate::number;

/// Most methods of `cost-of-methods`.
const MAX_METHODS: usize = 32;

/// How many cells a request takes.
#[derive(Debug)]
pub(crate) struct Cost {
    fixed: u64,
    methods: BTreeMap<String, u64>,
    from: Option<(Source, u64)>,
}

impl Cost {
    /// The cost of a limit whose quota holds at most `capacity` cells.
    ///
    /// # Errors
    /// A cost that can never be taken, methods or a source that cannot be.
    pub(crate) fn new(limit: &Limit, capacity: u64) -> Result<Self, String> {
        let fixed = limit.cost.unwrap_or(1);
        let methods = limit.cost_of_methods.clone().unwrap_or_default();
        let fits = |key: &str, cost: u64| {
            if cost <= capacity {
                Ok(())
            } else {
                Err(format!(
                    "`{key}` is {cost}, but only {capacity} cells can ever be taken at once"
                ))
            }
        };
        if fixed == 0 {
            return Err("`cost` is 0: it is at least 1".to_owned());
        }
        fits("cost", fixed)?;
        if methods.len() > MAX_METHODS {
            return Err(format!("`cost-of-methods` has more than {MAX_METHODS} methods"));
        }
        for (method, cost) in &methods {
            fits(&format!("cost-of-methods.{method}"), *cost)?;
        }
        let from = match (&limit.cost_from, limit.cost_max) {
            (None, None) => None,
            (None, Some(_)) => return Err("`cost-max` is only for `cost-from`".to_owned()),
            (Some(text), most) => {
                let source = Source::parse(text).ok_or_else(|| {
                    format!("`cost-from` is {text:?}: use `header:NAME` or `attribute:NAME`")
                })?;
                let most = most.unwrap_or(capacity);
                fits("cost-max", most)?;
                if most == 0 {
                    return Err("`cost-max` is 0: it is at least 1".to_owned());
                }
                Some((source, most))
            }
        };
        Ok(Self { fixed, methods, from })
    }

    /// What this request takes: what `cost-from` says, else its method's cost, else the fixed one.
    pub(crate) fn of(&self, request: &Request) -> u64 {
        if let Some((source, most)) = &self.from
            && let Some(cost) = source.of(request).and_then(|text| number::parse(&text))
        {
            return cost.min(*most);
        }
        if self.methods.is_empty() {
            return self.fixed;
        }
        self.methods.get(&request.method()).copied().unwrap_or(self.fixed)
    }
}
