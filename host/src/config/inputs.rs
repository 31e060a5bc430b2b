//! The files that a configuration is made of: reads them within bounds, and remembers all that was looked at.
//!
//! It refuses to know what is in them, and its errors name paths, never content.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Largest file that a reference may name, in bytes.
pub const MAX_REFERENCED_FILE: u64 = 16 << 20;
/// Most bytes that all references of one configuration may bring in together.
pub const MAX_REFERENCED_TOTAL: u64 = 128 << 20;
/// Most files that one pattern may match, and most folders that may have to be searched for them.
pub const MAX_GLOB_MATCHES: usize = 4096;

const OPTIONS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("cannot read `{path}`: {source}")]
    Read { path: String, source: io::Error },
    #[error("`{0}` is not a regular file")]
    NotAFile(String),
    #[error("`{path}` is larger than {limit} bytes")]
    TooLarge { path: String, limit: u64 },
    #[error("`{0}` is not UTF-8 text")]
    NotText(String),
    #[error("all files that the configuration names are together larger than {MAX_REFERENCED_TOTAL} bytes")]
    TotalTooLarge,
    #[error("`{pattern}` is not a pattern for file names: {reason}")]
    BadPattern { pattern: String, reason: &'static str },
    #[error("`{0}` matches no file")]
    NothingMatches(String),
    #[error("`{0}` matches more than {MAX_GLOB_MATCHES} files")]
    TooManyMatches(String),
}

/// What one configuration has been made of so far.
pub(super) struct Inputs {
    seen: RefCell<BTreeSet<PathBuf>>,
    content: RefCell<Sha256>,
    left: Cell<u64>,
}

impl Inputs {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            seen: RefCell::new(BTreeSet::new()),
            content: RefCell::default(),
            left: Cell::new(MAX_REFERENCED_TOTAL),
        }
    }

    /// Remembers a file or folder: a change of it may change the configuration.
    pub(super) fn saw(&self, path: &Path) {
        self.seen.borrow_mut().insert(path.to_path_buf());
    }

    /// Makes content a part of the fingerprint.
    pub(super) fn count(&self, content: &str) {
        let mut hash = self.content.borrow_mut();
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }

    /// The text of a file that a reference names.
    pub(super) fn read(&self, path: &Path) -> Result<String, InputError> {
        self.read_up_to(path, MAX_REFERENCED_FILE)
    }

    /// The text of a file of at most `limit` bytes.
    pub(super) fn read_up_to(&self, path: &Path, limit: u64) -> Result<String, InputError> {
        self.saw(path);
        let text = read_text(path, limit)?;
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let left = self
            .left
            .get()
            .checked_sub(length)
            .ok_or(InputError::TotalTooLarge)?;
        self.left.set(left);
        self.count(&text);
        Ok(text)
    }

    /// The files that `pattern`, relative to `folder`, matches, in the order of their paths; maybe none. Hidden files
    /// match only where the pattern has the dot.
    pub(super) fn matches(&self, folder: &Path, pattern: &str) -> Result<BTreeSet<PathBuf>, InputError> {
        glob::Pattern::new(pattern).map_err(|error| bad(pattern, &error))?;
        self.saw(&folder.join(literal_folder(pattern)));
        for searched in searched_folders(pattern) {
            let found = paths(folder, pattern, searched, Path::is_dir)?;
            self.seen.borrow_mut().extend(found);
        }
        paths(folder, pattern, pattern, Path::is_file)
    }

    /// Every file and folder that was looked at, in order, and a hash of all content.
    pub(super) fn into_parts(self) -> (BTreeSet<PathBuf>, Sha256) {
        (self.seen.into_inner(), self.content.into_inner())
    }
}

/// What a `part` of `whole` matches below `folder`, of one kind.
fn paths(
    folder: &Path,
    whole: &str,
    part: &str,
    kind: impl Fn(&Path) -> bool,
) -> Result<BTreeSet<PathBuf>, InputError> {
    let literal = PathBuf::from(glob::Pattern::escape(&folder.to_string_lossy()));
    let pattern = literal.join(part);
    let found = glob::glob_with(&pattern.to_string_lossy(), OPTIONS).map_err(|error| bad(whole, &error))?;
    let mut paths = BTreeSet::new();
    for path in found {
        let path = path.map_err(|error| InputError::Read {
            path: error.path().display().to_string(),
            source: error.into(),
        })?;
        if kind(&path) {
            paths.insert(path);
        }
        if paths.len() > MAX_GLOB_MATCHES {
            return Err(InputError::TooManyMatches(whole.to_owned()));
        }
    }
    Ok(paths)
}

fn bad(pattern: &str, error: &glob::PatternError) -> InputError {
    InputError::BadPattern {
        pattern: pattern.to_owned(),
        reason: error.msg,
    }
}

/// The text of a regular file of at most `limit` bytes.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<String, InputError> {
    let name = || path.display().to_string();
    let failed = |source| InputError::Read { path: name(), source };
    // Opening a pipe would wait for its other end, so the kind is asked for first.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(InputError::NotAFile(name()));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    let read = file
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if u64::try_from(read).map_or(true, |read| read > limit) {
        return Err(InputError::TooLarge { path: name(), limit });
    }
    String::from_utf8(bytes).map_err(|_| InputError::NotText(name()))
}

/// Whether a pattern can match anything but the path that it spells.
pub(super) fn has_wildcard(pattern: &str) -> bool {
    pattern.contains(WILDCARDS)
}

const WILDCARDS: [char; 3] = ['*', '?', '['];

/// The part of a pattern up to the last separator before its first wildcard.
fn literal_folder(pattern: &str) -> &str {
    let wildcard = pattern.find(WILDCARDS).unwrap_or(pattern.len());
    let literal = pattern.get(..wildcard).unwrap_or_default();
    match literal.rfind('/') {
        Some(0) => "/",
        Some(end) => literal.get(..end).unwrap_or_default(),
        None => "",
    }
}

/// The parts of a pattern that match the folders in which it is searched, beyond [`literal_folder`].
fn searched_folders(pattern: &str) -> impl Iterator<Item = &str> {
    let parts = pattern.match_indices('/').map(|(end, _)| end);
    let parts = parts.filter_map(|end| pattern.get(..end));
    parts.filter(|part| has_wildcard(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(made: &[&str]) -> (tempfile::TempDir, Inputs) {
        let folder = tempfile::tempdir().unwrap();
        for name in made {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, *name).unwrap();
        }
        (folder, Inputs::new())
    }

    fn names(folder: &tempfile::TempDir, paths: BTreeSet<PathBuf>) -> Vec<String> {
        let relative = |path: PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
        paths.into_iter().map(relative).collect()
    }

    #[test]
    fn matches_are_sorted_by_path_and_their_folder_is_an_input() {
        let (folder, inputs) = inputs(&["r/b.conf", "r/a.conf", "r/c.txt", "r/.hidden.conf", "r/d.conf/x"]);
        let found = inputs.matches(folder.path(), "r/*.conf").unwrap();
        assert_eq!(names(&folder, found), ["r/a.conf", "r/b.conf"]);
        assert_eq!(names(&folder, inputs.into_parts().0), ["r"]);
    }

    #[test]
    fn every_folder_that_a_pattern_is_searched_in_is_an_input() {
        let (folder, inputs) = inputs(&["r/a/x.toml", "r/b/y.txt", "r/c.toml", "s/z.toml"]);
        let found = inputs.matches(folder.path(), "r/*/*.toml").unwrap();
        assert_eq!(names(&folder, found), ["r/a/x.toml"]);
        assert_eq!(names(&folder, inputs.into_parts().0), ["r", "r/a", "r/b"]);
    }

    #[test]
    fn wildcards_in_the_name_of_the_folder_itself_are_literal() {
        let (folder, inputs) = inputs(&["[x]*/a.conf"]);
        let odd = folder.path().join("[x]*");
        assert_eq!(
            names(&folder, inputs.matches(&odd, "*.conf").unwrap()),
            ["[x]*/a.conf"]
        );
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let (folder, _) = inputs(&["12345"]);
        let path = folder.path().join("12345");
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert!(matches!(
            read_text(&path, 4),
            Err(InputError::TooLarge { limit: 4, .. })
        ));
    }

    #[test]
    fn all_files_together_are_bounded() {
        let (folder, inputs) = inputs(&["12345"]);
        inputs.left.set(9);
        let path = folder.path().join("12345");
        assert!(inputs.read(&path).is_ok());
        assert!(matches!(inputs.read(&path), Err(InputError::TotalTooLarge)));
    }

    #[test]
    fn the_folder_of_a_pattern_ends_before_its_wildcard() {
        assert_eq!(literal_folder("rules/*.conf"), "rules");
        assert_eq!(literal_folder("*.conf"), "");
        assert_eq!(literal_folder("a/b/c[1]/d"), "a/b");
        assert_eq!(literal_folder("/*.conf"), "/");
        assert_eq!(literal_folder("a/b.conf"), "a");
    }
}
