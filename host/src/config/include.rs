//! The key `include`: which other files the configuration is made of, and their texts.
//!
//! It refuses to know what is in them.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::inputs::{Inputs, has_wildcard};
use super::reader::Reader;
use super::secret::Text;

/// Most files that one configuration may include.
pub const MAX_INCLUDED: usize = 1024;
/// Largest included file, in bytes.
pub const MAX_INCLUDED_FILE: u64 = super::MAX_FILE;
/// Largest sum of all included files, in bytes.
pub const MAX_INCLUDED_TOTAL: usize = 32 << 20;

/// An included file.
pub(super) struct Included {
    pub(super) file: PathBuf,
    pub(super) text: String,
}

/// The files that the key `include` of the file `main` names, in the order of their paths, whichever pattern matched.
pub(super) fn read(root: &mut Reader<'_>, main: &Path, inputs: &Inputs) -> Vec<Included> {
    let scope = root.scope();
    let patterns = root.texts("include", "").unwrap_or_default();
    let mut list: BTreeSet<(PathBuf, usize)> = BTreeSet::new();
    // Two ways to write one path are one file, and no file includes itself.
    let mut known: HashSet<PathBuf> = main.canonicalize().into_iter().collect();
    for (index, pattern) in patterns.iter().enumerate() {
        for file in files(root, pattern, inputs) {
            if file.canonicalize().is_ok_and(|real| known.insert(real)) {
                list.insert((file, index));
            }
        }
        if list.len() > MAX_INCLUDED {
            let message = format!("a configuration includes at most {MAX_INCLUDED} files");
            scope.error(pattern.at(), message);
            return Vec::new();
        }
    }
    let mut total = 0_usize;
    let mut texts = Vec::with_capacity(list.len());
    for (file, index) in list {
        let Some(pattern) = patterns.get(index) else {
            continue;
        };
        let text = match inputs.read_up_to(&file, MAX_INCLUDED_FILE) {
            Ok(text) => text,
            Err(error) => {
                scope.error(pattern.at(), error.to_string());
                continue;
            }
        };
        // The same text at another place is another configuration: paths in it lead elsewhere.
        inputs.count(&file.to_string_lossy());
        total = total.saturating_add(text.len());
        if total > MAX_INCLUDED_TOTAL {
            let message = format!("all included files are together larger than {MAX_INCLUDED_TOTAL} bytes");
            scope.error(pattern.at(), message);
            break;
        }
        texts.push(Included { file, text });
    }
    texts
}

fn files(root: &Reader<'_>, pattern: &Text, inputs: &Inputs) -> BTreeSet<PathBuf> {
    let scope = root.scope();
    let found = match inputs.matches(scope.folder(), pattern.as_str()) {
        Ok(found) => found,
        Err(_) if pattern.is_secret() => {
            scope.error(pattern.at(), format!("{} names no files", pattern.shown()));
            return BTreeSet::new();
        }
        Err(error) => {
            scope.error(pattern.at(), error.to_string());
            return BTreeSet::new();
        }
    };
    if found.is_empty() {
        let message = format!("{} matches no file", pattern.shown());
        if has_wildcard(pattern.as_str()) {
            let help = "nothing is included by it until a file appears";
            scope.warning(pattern.at(), message, help);
        } else {
            inputs.saw(&scope.path(pattern.as_str()));
            let help = "the path is relative to this file; only a pattern with a wildcard may match nothing";
            scope.error_with_help(pattern.at(), message, help);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use crate::config::tests::entries;
    use crate::config::{Config, Problems, load_watching, parse};

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn load(folder: &tempfile::TempDir) -> Result<Config, Problems> {
        let file = folder.path().join("gateway.toml");
        let text = fs::read_to_string(&file).unwrap();
        parse(&file, &text, &BTreeMap::new())
    }

    /// What is wrong, with paths as from inside the folder.
    fn shown(folder: &tempfile::TempDir, problems: &[super::super::Diagnostic]) -> String {
        let prefix = format!("{}/", folder.path().display());
        Problems(problems.to_vec()).to_string().replace(&prefix, "")
    }

    fn wrong(files: &[(&str, &str)]) -> String {
        let folder = folder(files);
        shown(&folder, &load(&folder).unwrap_err().0)
    }

    const MAIN: &str = "include = ['routes.d/*.toml']\n[listeners.l]\naddress = '127.0.0.1:0'\npipeline = ['@base']\n\
                        [[routes]]\nname = 'main'\nmatch.path = '/main'\nupstream = 'b'\n";
    const A: &str = "[plugins.one]\n[pipelines]\nbase = ['two']\n[[routes]]\nname = 'a'\nmatch.path = '/a'\n\
                     pipeline = ['one', { plugin = 'two', cpu = '7ms' }]\nupstream = 'b'\n";
    const B: &str = "[plugins.two]\nwasm = 'x/two.wasm'\nconfig = { key = { file = 'key' } }\n\
                     [upstreams.b]\nendpoints = ['127.0.0.1:1']\n[[routes]]\nname = 'b'\nmatch.path = '/b'\nupstream = 'b'\n";

    fn good() -> tempfile::TempDir {
        folder(&[
            ("gateway.toml", MAIN),
            ("routes.d/b.toml", B),
            ("routes.d/a.toml", A),
            ("routes.d/key", "secret"),
            ("routes.d/notes.txt", "no TOML ["),
            ("routes.d/.a.toml.swp.toml", "no TOML ["),
        ])
    }

    #[test]
    fn the_files_are_one_configuration_in_the_order_of_their_paths() {
        let folder = good();
        let config = load(&folder).unwrap();
        assert_eq!(config.warnings, []);
        let routes: Vec<_> = config.routes.iter().map(|route| &*route.name).collect();
        assert_eq!(routes, ["main", "a", "b"]);
        let plugins: Vec<_> = config.plugins.iter().map(|entry| &*entry.name).collect();
        assert_eq!(plugins, ["one", "two", "two@a#1"]);
        assert_eq!(entries(&config.listeners[0].pipeline), [1]);
        let a = folder.path().join("routes.d/a.toml");
        assert_eq!(
            config.routes[1].origin.to_string(),
            format!("{}:4:1", a.display())
        );
        assert_eq!(&*config.listeners[0].pipeline[0].origin.file, a);
        assert_eq!(
            &*config.plugins[1].config.locate("/key").file,
            folder.path().join("routes.d/b.toml")
        );
    }

    #[test]
    fn paths_are_relative_to_the_file_that_they_stand_in() {
        let folder = good();
        let two = &load(&folder).unwrap().plugins[1];
        assert_eq!(two.wasm, folder.path().join("routes.d/x/two.wasm"));
        assert_eq!(two.config.value()["key"], "secret");
        let one = &load(&folder).unwrap().plugins[0];
        assert_eq!(one.wasm, folder.path().join("plugins/one.wasm"));
    }

    #[test]
    fn files_and_their_folder_are_watched_and_part_of_the_fingerprint() {
        let folder = good();
        let config = load(&folder).unwrap();
        let expected = [
            "gateway.toml",
            "routes.d",
            "routes.d/a.toml",
            "routes.d/b.toml",
            "routes.d/key",
        ];
        assert_eq!(config.inputs, expected.map(|name| folder.path().join(name)));
        let route = "[[routes]]\nname = 'c'\nmatch.path = '/c'\nupstream = 'b'\n";
        fs::write(folder.path().join("routes.d/c.toml"), route).unwrap();
        let more = load(&folder).unwrap();
        assert_ne!(more.fingerprint, config.fingerprint);
        assert_eq!(more.routes.len(), 4);
        fs::remove_file(folder.path().join("routes.d/c.toml")).unwrap();
        assert_eq!(load(&folder).unwrap().fingerprint, config.fingerprint);
    }

    #[test]
    fn a_file_is_read_once_and_never_by_itself() {
        let main = "include = ['*.toml', './a.toml']\nlisteners.l.address = '127.0.0.1:0'\n";
        let folder = folder(&[
            ("gateway.toml", main),
            ("a.toml", "[listeners.m]\naddress = '127.0.0.1:0'\n"),
        ]);
        assert_eq!(load(&folder).unwrap().listeners.len(), 2);
    }

    #[test]
    fn names_are_unique_across_files_and_both_places_are_shown() {
        let a = "[plugins.p]\n[listeners.l]\naddress = '127.0.0.1:0'\n[pipelines]\nbase = []\n\
                 [[routes]]\nname = 'r'\nupstream = 'u'\n";
        let main = format!("include = ['a.toml']\n{a}[upstreams.u]\nendpoints = ['127.0.0.1:1']\n");
        insta::assert_snapshot!(wrong(&[("gateway.toml", &main), ("a.toml", a)]), @"
        error: `p` is already the name of the plugin at gateway.toml:2:10
         --> a.toml:1:10
          |
        1 | [plugins.p]
          |          ^

        error: `l` is already the name of the listener at gateway.toml:3:12
         --> a.toml:2:12
          |
        2 | [listeners.l]
          |            ^

        error: `base` is already the name of the pipeline at gateway.toml:6:1
         --> a.toml:5:1
          |
        5 | base = []
          | ^^^^

        error: `r` is already the name of the route at gateway.toml:8:8
         --> a.toml:7:8
          |
        7 | name = 'r'
          |        ^^^
        ");
    }

    #[test]
    fn a_problem_in_an_included_file_has_its_place_after_those_of_the_main_file() {
        let a = "[[routes]]\nname = 'a'\nupstream = 'u'\n[gateway]\nworkers = 0\n[upstream]\n";
        let main = "include = ['a.toml']\n\n\n\n\n\n\n[listeners.l]\naddress = 5\n";
        insta::assert_snapshot!(wrong(&[("gateway.toml", main), ("a.toml", a)]), @"
        error: `address` must be a string, not an integer
         --> gateway.toml:9:11
          |
        9 | address = 5
          |           ^

        error: unknown upstream `u`
         --> a.toml:3:12
          |
        3 | upstream = 'u'
          |            ^^^
          = help: add a table `[upstreams.u]`

        error: an included file cannot have the table `gateway`
         --> a.toml:4:2
          |
        4 | [gateway]
          |  ^^^^^^^
          = help: move it to the file that is given to the gateway

        error: unknown key `upstream`
         --> a.toml:6:2
          |
        6 | [upstream]
          |  ^^^^^^^^
          = help: did you mean `upstreams`? possible keys: listeners, pipelines, plugins, routes, store, upstreams
        ");
        let nested = [
            ("gateway.toml", "include = ['a.toml']\n"),
            ("a.toml", "include = ['b.toml']\n"),
        ];
        insta::assert_snapshot!(wrong(&nested), @"
        warning: there is no listener, so the gateway accepts nothing
         --> gateway.toml
          = help: add a table such as `[listeners.public]` with an `address`

        error: an included file cannot include others
         --> a.toml:1:1
          |
        1 | include = ['b.toml']
          | ^^^^^^^
          = help: name them in the file that is given to the gateway
        ");
    }

    #[test]
    fn syntax_errors_of_included_files_come_alone() {
        let main = "include = ['*.toml']\nupstreams = 5\n";
        let files = [
            ("gateway.toml", main),
            ("a.toml", "a = \n"),
            ("b.toml", "[c\nconfig.k = 'hunter2'"),
        ];
        insta::assert_snapshot!(wrong(&files), @"
        error: string values must be quoted, expected literal string
         --> a.toml:1:5
          |
        1 | a =
          |    ^

        error: unclosed table, expected `]`
         --> b.toml:1:3
          |
        1 | [c
          |   ^
        ");
    }

    #[test]
    fn a_literal_value_in_the_config_of_an_included_file_is_not_shown() {
        let a = "[plugins.p]\nconfig = { key = 'hunter2', size = nan }\n";
        let shown = wrong(&[("gateway.toml", "include = ['a.toml']\n"), ("a.toml", a)]);
        assert!(
            shown.contains("a.toml:2:") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_doubtful_and_a_missing_file_is_wrong() {
        let folder = folder(&[(
            "gateway.toml",
            "include = ['routes.d/*.toml']\nlisteners.l.address = '127.0.0.1:0'\n",
        )]);
        let config = load(&folder).unwrap();
        insta::assert_snapshot!(shown(&folder, &config.warnings), @"
        warning: `routes.d/*.toml` matches no file
         --> gateway.toml:1:12
          |
        1 | include = ['routes.d/*.toml']
          |            ^^^^^^^^^^^^^^^^^
          = help: nothing is included by it until a file appears
        ");
        assert!(config.inputs.contains(&folder.path().join("routes.d")));
        fs::write(
            folder.path().join("gateway.toml"),
            "include = ['a.toml', 'x/[']\n",
        )
        .unwrap();
        insta::assert_snapshot!(shown(&folder, &load(&folder).unwrap_err().0), @"
        error: `a.toml` matches no file
         --> gateway.toml:1:12
          |
        1 | include = ['a.toml', 'x/[']
          |            ^^^^^^^^
          = help: the path is relative to this file; only a pattern with a wildcard may match nothing

        error: `x/[` is not a pattern for file names: invalid range pattern
         --> gateway.toml:1:22
          |
        1 | include = ['a.toml', 'x/[']
          |                      ^^^^^
        ");
        let (_, inputs) = load_watching(&folder.path().join("gateway.toml"));
        assert!(inputs.contains(&folder.path().join("a.toml")));
    }

    #[test]
    fn number_and_size_of_included_files_are_bounded() {
        let folder = folder(&[("gateway.toml", "include = ['d/*.toml']\n")]);
        fs::create_dir(folder.path().join("d")).unwrap();
        for number in 0..=super::MAX_INCLUDED {
            fs::write(folder.path().join(format!("d/{number}.toml")), "").unwrap();
        }
        let problems = load(&folder).unwrap_err();
        assert_eq!(
            problems.0[0].message,
            "a configuration includes at most 1024 files"
        );
        for number in 1..=super::MAX_INCLUDED {
            fs::remove_file(folder.path().join(format!("d/{number}.toml"))).unwrap();
        }
        load(&folder).unwrap();
        fs::write(folder.path().join("d/0.toml"), " ".repeat((1 << 20) + 1)).unwrap();
        let message = &load(&folder).unwrap_err().0[0].message;
        assert!(message.ends_with("is larger than 1048576 bytes"), "{message}");
        for number in 0..33 {
            fs::write(
                folder.path().join(format!("d/{number}.toml")),
                " ".repeat(1 << 20),
            )
            .unwrap();
        }
        let message = &load(&folder).unwrap_err().0[0].message;
        assert_eq!(
            message,
            "all included files are together larger than 33554432 bytes"
        );
    }
}
