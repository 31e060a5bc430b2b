//! Documents that are generated, or that have to agree with the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use portcullis_tests::errors::{self, of_plugin, plugins, root};

#[test]
fn the_page_of_errors_is_up_to_date() {
    let path = root().join("docs/errors.md");
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(
        text == errors::page(),
        "docs/errors.md is not what the code says; write it anew:\n\
         cargo run -p portcullis-tests --example error_codes > docs/errors.md"
    );
}

#[test]
fn every_code_of_a_plugin_has_a_text_and_every_text_a_code() {
    for name in plugins() {
        let mut source = String::new();
        collect(&root().join("plugins").join(&name).join("src"), &mut source);
        let listed: BTreeSet<_> = of_plugin(&name).into_iter().map(|row| row.code).collect();
        for code in &listed {
            assert!(
                source.contains(&format!("\"{code}\"")),
                "{name}: `{code}` is in the README and nowhere in the code"
            );
        }
        let literals = source.split("Refusal::new(").skip(1).filter_map(|call| {
            let arguments = call.split(')').next()?;
            arguments.split('"').nth(1)
        });
        for code in literals {
            assert!(
                listed.contains(code),
                "{name}: its README lists no code `{code}` under `## Errors`"
            );
        }
    }
}

/// The text of all sources below a folder but tests.
fn collect(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, text);
        } else if !path.ends_with("tests.rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
