//! Documents that have to be there: a README for every plugin, and a word in ARCHITECTURE.md for every top
//! module of the host.

use std::fs;

use anyhow::Result;

use crate::component;
use crate::tidy::Finding;
use crate::tidy::layers::LAYERS;
use crate::tree::Tree;

/// The names of the plugins: the folders of `plugins/`.
pub(super) fn plugin_names(tree: &Tree) -> Result<Vec<String>> {
    let folders = component::folders(&tree.path("plugins"))?;
    Ok(folders
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect())
}

/// Findings for the tree as a whole.
pub(super) fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for plugin in plugin_names(tree)? {
        let file = format!("plugins/{plugin}/README.md");
        if !tree.path(&file).is_file() {
            findings.push(Finding::error(
                &file,
                0,
                "missing: what the plugin does, a table of its config, an example",
            ));
        }
    }
    let file = "ARCHITECTURE.md";
    let Ok(text) = fs::read_to_string(tree.path(file)) else {
        findings.push(Finding::error(file, 0, "missing"));
        return Ok(findings);
    };
    for module in LAYERS.iter().copied().flatten() {
        let there = tree.path(&format!("host/src/{module}.rs")).is_file();
        let named = [format!("`{module}`"), format!("`host/src/{module}.rs`")];
        if there && !named.iter().any(|name| text.contains(name)) {
            findings.push(Finding::error(
                file,
                0,
                format!("says nothing of `{module}` (host/src/{module}.rs)"),
            ));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_and_top_modules_have_to_be_documented() {
        let root = std::env::temp_dir().join(format!("xtask-documents-{}", std::process::id()));
        let tree = Tree::at(&root);
        fs::create_dir_all(root.join("plugins/auth-key")).unwrap();
        fs::create_dir_all(root.join("host/src")).unwrap();
        fs::write(root.join("host/src/config.rs"), "").unwrap();
        fs::write(root.join("host/src/units.rs"), "").unwrap();
        fs::write(root.join("host/src/main.rs"), "").unwrap();
        fs::write(
            root.join("ARCHITECTURE.md"),
            "The `units` of the host, from `host/src/main.rs` on.\n",
        )
        .unwrap();
        let found: Vec<_> = check(&tree).unwrap().iter().map(Finding::shown).collect();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("plugins/auth-key/README.md: error: missing"));
        assert!(found[1].contains("says nothing of `config`"));
    }
}
