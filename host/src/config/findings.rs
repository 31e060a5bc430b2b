//! The problems of a configuration found so far, in all of its files.
//!
//! It refuses to stop at the first problem, and to keep more than a bounded number.

use std::cell::{Cell, RefCell};

use super::diagnostic::{Diagnostic, Severity};
use super::origin::Origin;

/// Most errors, and most warnings, that one configuration can have.
const MAX_OF_A_KIND: usize = 200;

/// Problems with the rank of the file that each is in.
#[derive(Default)]
pub(super) struct Findings {
    list: RefCell<Vec<(usize, Diagnostic)>>,
    errors: Kept,
    warnings: Kept,
}

/// How much of one kind was found.
#[derive(Default)]
struct Kept {
    count: Cell<usize>,
    overflow: Cell<bool>,
}

impl Findings {
    /// Reports a problem of the file of this rank, unless there are too many already.
    pub(super) fn add(&self, rank: usize, severity: Severity, make: impl FnOnce() -> Diagnostic) {
        let kept = self.kept(severity);
        if kept.count.get() >= MAX_OF_A_KIND {
            kept.overflow.set(true);
            return;
        }
        kept.count.set(kept.count.get() + 1);
        self.list.borrow_mut().push((rank, make()));
    }

    /// Whether the configuration cannot be used.
    pub(super) fn has_errors(&self) -> bool {
        self.errors.count.get() > 0
    }

    /// All that was found, in the order of the files and of their lines. `main` stands for the configuration.
    pub(super) fn into_list(self, main: &Origin) -> Vec<Diagnostic> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|(rank, diagnostic)| (*rank, diagnostic.origin.line, diagnostic.origin.column));
        let mut list: Vec<_> = list.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        for (severity, kept, what) in [
            (Severity::Error, &self.errors, "problems found"),
            (Severity::Warning, &self.warnings, "warnings"),
        ] {
            if kept.overflow.get() {
                list.push(Diagnostic {
                    severity,
                    origin: main.clone(),
                    message: format!("only the first {MAX_OF_A_KIND} {what} are shown"),
                    help: None,
                    excerpt: None,
                });
            }
        }
        list
    }

    fn kept(&self, severity: Severity) -> &Kept {
        match severity {
            Severity::Error => &self.errors,
            Severity::Warning => &self.warnings,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn too_many_warnings_are_no_error_and_hide_none() {
        let findings = Findings::default();
        let origin = Origin::whole(Path::new("a"));
        let add = |severity| {
            findings.add(0, severity, || Diagnostic {
                severity,
                origin: origin.clone(),
                message: String::new(),
                help: None,
                excerpt: None,
            });
        };
        for _ in 0..1000 {
            add(Severity::Warning);
        }
        assert!(!findings.has_errors());
        add(Severity::Error);
        assert!(findings.has_errors());
        let list = findings.into_list(&origin);
        let count = |severity| list.iter().filter(|found| found.severity == severity).count();
        assert_eq!((count(Severity::Error), count(Severity::Warning)), (1, 201));
        assert_eq!(list[201].message, "only the first 200 warnings are shown");
    }
}
