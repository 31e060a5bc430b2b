//! `cargo xtask tidy`: the rules of the tree that no compiler checks. Reads files only; each rule is a function
//! from a file to findings.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::arguments::Arguments;
use crate::say;
use crate::tidy::source::Source;
use crate::tree::Tree;

mod documents;
mod layers;
mod names;
mod source;
mod text;

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 4] = ["target", "node_modules", "__pycache__", "corpus"];
/// Files with these endings are read.
const READ: [&str; 11] = [
    "rs", "toml", "md", "wit", "py", "js", "ts", "sh", "c", "go", "yml",
];

/// A place where a rule does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    /// Relative to the root.
    file: String,
    /// From 1; 0 = the file as a whole.
    line: usize,
    text: String,
    weight: Weight,
}

/// Whether a finding fails the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Warning,
    Error,
}

impl Finding {
    fn error(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            text: text.into(),
            weight: Weight::Error,
        }
    }

    fn warning(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self {
            weight: Weight::Warning,
            ..Self::error(file, line, text)
        }
    }

    fn shown(&self) -> String {
        let weight = match self.weight {
            Weight::Warning => "warning",
            Weight::Error => "error",
        };
        let line = if self.line == 0 {
            String::new()
        } else {
            format!(":{}", self.line)
        };
        format!("{}{line}: {weight}: {}", self.file, self.text)
    }
}

/// Runs the command.
pub(crate) fn run(tree: &Tree, words: &[String]) -> Result<()> {
    Arguments::new(words).finish()?;
    let findings = check(tree)?;
    for finding in &findings {
        say::line(&finding.shown());
    }
    match findings
        .iter()
        .filter(|finding| finding.weight == Weight::Error)
        .count()
    {
        0 => Ok(()),
        1 => bail!("tidy: one place to put right"),
        count => bail!("tidy: {count} places to put right"),
    }
}

/// Every finding, in the order of the files' names.
fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let plugins = documents::plugin_names(tree)?;
    let mut findings = documents::check(tree)?;
    for path in files(tree.root())? {
        let file = tree.shown(&path);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {file}"))?;
        let Ok(text) = String::from_utf8(bytes) else {
            findings.push(Finding::error(&file, 0, "not UTF-8"));
            continue;
        };
        findings.extend(text::check(&file, &text));
        if file.ends_with(".rs") {
            let source = Source::parse(&file, &text);
            findings.extend(text::check_source(&source));
            if let Some(module) = file.strip_prefix("host/src/") {
                findings.extend(layers::check(&source, module));
                findings.extend(names::check(&source, module, &plugins));
            }
        }
    }
    findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Ok(findings)
}

/// The files to read, in order.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            // Links are not followed: a file is checked where it is.
            let kind = entry.file_type()?;
            if kind.is_dir() && !SKIPPED.contains(&name.as_str()) && (!name.starts_with('.') || name == ".ci")
            {
                folders.push(path);
            } else if kind.is_file()
                && (folder.ends_with(".ci")
                    || name.rsplit_once('.').is_some_and(|(_, end)| READ.contains(&end)))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_file_and_line() {
        assert_eq!(Finding::error("a.rs", 3, "no").shown(), "a.rs:3: error: no");
        assert_eq!(Finding::warning("a.rs", 0, "hm").shown(), "a.rs: warning: hm");
    }
}
