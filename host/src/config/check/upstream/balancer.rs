//! Plugin entries that upstreams name as their balancers.
//!
//! It refuses to look into a component: that the hook is missing is said when it is loaded.

use std::collections::HashMap;

use crate::config::diagnostic::{Diagnostic, Severity};
use crate::config::model::PluginEntry;
use crate::config::names::Names;
use crate::config::scope::Scope;
use crate::config::secret::Text;

/// The entries that were named so far.
pub(in crate::config::check) struct Balancers<'n> {
    names: &'n Names<'n>,
    /// By index, what is wrong with it if it is no balancer.
    named: HashMap<usize, Diagnostic>,
}

impl<'n> Balancers<'n> {
    /// None is named yet; `names` are those of all entries.
    pub(in crate::config::check) fn new(names: &'n Names<'n>) -> Self {
        Self {
            names,
            named: HashMap::new(),
        }
    }

    /// The index of the entry that `text` names. Reports an unknown one.
    pub(super) fn find(&mut self, scope: &Scope<'_>, text: &Text) -> Option<usize> {
        let index = self.names.find(scope, text)?;
        self.named.entry(index).or_insert_with(|| {
            let message = format!("plugin entry {} has no hook `balancer`", text.shown());
            let mut problem = scope.source().diagnostic(Severity::Error, text.at(), message);
            problem.help =
                Some("name an entry whose component exports `balancer`, or choose a `policy`".to_owned());
            problem
        });
        Some(index)
    }

    /// Notes in the entries that they are balancers.
    pub(in crate::config::check) fn tell(self, entries: &mut [PluginEntry]) {
        for (index, problem) in self.named {
            if let Some(entry) = entries.get_mut(index) {
                entry.balances = Some(Box::new(problem));
            }
        }
    }
}
