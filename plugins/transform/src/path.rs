//! Another path for a request: set as a whole, or stripped, replaced and prefixed. Knows no query and no request.

use std::borrow::Cow;

use crate::config::PathEdits;
use crate::failure::Failure;
use crate::pattern::Pattern;
use crate::replacement::{Replaced, Replacement};
use crate::template::{Names, Scene, Templates};
use crate::text::{Place, Text};
use crate::url;

/// Compiled edits of a path.
#[derive(Debug)]
pub(crate) struct Path {
    set: Option<Text>,
    strip: Option<String>,
    replace: Option<Replacement>,
    add: Option<Text>,
}

impl Path {
    /// Compiles the edits of the table `key`; the error names the key.
    pub(crate) fn new(
        templates: &mut Templates,
        names: Names<'_>,
        key: &str,
        config: &PathEdits,
    ) -> Result<Self, String> {
        let others = config.strip_prefix.is_some() || config.replace.is_some() || config.add_prefix.is_some();
        if config.set.is_some() && others {
            return Err(format!(
                "`{key}.set` is the whole path: nothing else can stand beside it"
            ));
        }
        let mut text = |name: &str, source: &Option<String>| {
            let key = format!("{key}.{name}");
            let text = source
                .as_ref()
                .map(|source| Text::new(templates, names, Place::Path, &key, source));
            text.transpose()
        };
        let (set, add) = (text("set", &config.set)?, text("add-prefix", &config.add_prefix)?);
        let strip = config.strip_prefix.as_ref().map(|prefix| {
            url::check_path(prefix).map_err(|what| format!("`{key}.strip-prefix`: {what}"))?;
            Ok::<_, String>(prefix.trim_end_matches('/').to_owned())
        });
        let replace = config.replace.as_ref().map(|replace| {
            let pattern = Pattern::new(&format!("{key}.replace.regex"), &replace.regex)?;
            Replacement::new(pattern, &replace.with).map_err(|what| format!("`{key}.replace.with`: {what}"))
        });
        Ok(Self {
            set,
            strip: strip.transpose()?,
            replace: replace.transpose()?,
            add,
        })
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_none() && self.strip.is_none() && self.replace.is_none() && self.add.is_none()
    }

    /// The path that takes the place of this one; none when it stays.
    ///
    /// # Errors
    /// As [`Text::resolve`], and for a path that cannot be sent.
    pub(crate) fn apply(&self, path: &str, scene: &Scene<'_>) -> Result<Option<String>, Failure> {
        if let Some(set) = &self.set {
            let set = set
                .resolve(scene)
                .map_err(|failure| failure.at("request.path.set"))?;
            return Ok(Some(set.into_owned()).filter(|set| !set.is_empty() && set != path));
        }
        let mut now = Cow::Borrowed(path);
        if let Some(prefix) = &self.strip {
            now = strip(now, prefix);
        }
        match self
            .replace
            .as_ref()
            .map(|replace| replace.apply(&now, url::MAX_LENGTH))
        {
            None | Some(Replaced::Unchanged) => {}
            Some(Replaced::Text(text)) => now = Cow::Owned(text),
            Some(Replaced::TooLong) => {
                return Err(Failure::Value("the path is longer than 8 KiB".to_owned()));
            }
        }
        if let Some(add) = &self.add {
            let prefix = add
                .resolve(scene)
                .map_err(|failure| failure.at("request.path.add-prefix"))?;
            let prefix = prefix.trim_end_matches('/');
            if !prefix.is_empty() {
                let slash = if now.starts_with('/') { "" } else { "/" };
                now = Cow::Owned(format!("{prefix}{slash}{now}"));
            }
        }
        if now == path {
            return Ok(None);
        }
        let mut now = now.into_owned();
        if !now.starts_with('/') {
            now.insert(0, '/');
        }
        if now.contains(['?', '#']) {
            return Err(Failure::Value("the path has a `?` or a `#`".to_owned()));
        }
        url::check_path(&now).map_err(Failure::Value)?;
        Ok(Some(now))
    }
}

/// The path without these segments at its front; as it is when they are not there.
fn strip<'p>(path: Cow<'p, str>, prefix: &str) -> Cow<'p, str> {
    match path.strip_prefix(prefix) {
        Some("") => Cow::Borrowed("/"),
        Some(rest) if rest.starts_with('/') => Cow::Owned(rest.to_owned()),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(strip: &str, replace: Option<(&str, &str)>, add: &str) -> PathEdits {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        PathEdits {
            set: None,
            strip_prefix: text(strip),
            replace: replace.map(|(regex, with)| crate::config::Replace {
                regex: regex.to_owned(),
                with: with.to_owned(),
            }),
            add_prefix: text(add),
        }
    }

    fn compiled(edits: &PathEdits) -> Result<Path, String> {
        Path::new(&mut Templates::new(), Names::Request(None), "path", edits)
    }

    fn applied(edits: &PathEdits, path: &str) -> Result<Option<String>, Failure> {
        let templates = Templates::new();
        compiled(edits).unwrap().apply(path, &templates.scene(None))
    }

    #[test]
    fn a_prefix_is_stripped_by_whole_segments() {
        for (prefix, path, stripped) in [
            ("/api", "/api/x", Some("/x")),
            ("/api/", "/api/x/", Some("/x/")),
            ("/api", "/api", Some("/")),
            ("/api", "/api/", Some("/")),
            ("/api", "/apix", None),
            ("/api", "/x/api", None),
            ("/", "/x", None),
            ("/api", "/api//x", Some("//x")),
        ] {
            let path = applied(&edits(prefix, None, ""), path);
            assert_eq!(path.unwrap().as_deref(), stripped, "{prefix}");
        }
    }

    #[test]
    fn edits_are_done_in_order() {
        let edits = edits("/api", Some(("^/v(\\d)/", "/$1/")), "/internal/");
        assert_eq!(
            applied(&edits, "/api/v1/x").unwrap().as_deref(),
            Some("/internal/1/x")
        );
        assert_eq!(applied(&edits, "/x").unwrap().as_deref(), Some("/internal/x"));
    }

    #[test]
    fn a_replacement_stays_a_path() {
        for (regex, with, path, replaced) in [
            ("^/v1", "", "/v1", Ok(Some("/"))),
            ("^/", "", "/x", Ok(Some("/x"))),
            ("x", "", "/.x./secret", Err("the path has a segment `.` or `..`")),
            ("x", "?", "/x", Err("the path has a `?` or a `#`")),
            ("x", "y", "/a", Ok(None)),
        ] {
            let found = applied(&edits("", Some((regex, with)), ""), path);
            let expected = match replaced {
                Ok(path) => Ok(path.map(str::to_owned)),
                Err(what) => Err(Failure::Value(what.to_owned())),
            };
            assert_eq!(found, expected, "{regex} {with}");
        }
        let long = applied(
            &edits("", Some(("a", &"b".repeat(1_000))), ""),
            &format!("/{}", "a".repeat(20)),
        );
        assert_eq!(
            long,
            Err(Failure::Value("the path is longer than 8 KiB".to_owned()))
        );
    }

    #[test]
    fn a_bad_edit_is_refused_with_its_key() {
        let both = PathEdits {
            set: Some("/a".to_owned()),
            ..edits("/b", None, "")
        };
        for (edits, reason) in [
            (both, "`path.set` is the whole path"),
            (
                edits("a", None, ""),
                "`path.strip-prefix`: a path begins with a slash",
            ),
            (
                edits("", None, "a"),
                "`path.add-prefix`: a path begins with a slash",
            ),
            (edits("", None, "/a?b"), "`path.add-prefix` is a path"),
            (
                edits("", Some(("(", "")), ""),
                "`path.replace.regex` is no regular expression",
            ),
            (
                edits("", Some(("a", "$1")), ""),
                "`path.replace.with`: the expression has no group `1`",
            ),
        ] {
            let error = compiled(&edits).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
