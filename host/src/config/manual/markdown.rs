//! `docs/configuration.md`: the same tables for people.
//!
//! It refuses to explain what a plugin does.

use super::tables::TABLES;
use super::{Default, Key, Kind};

/// What no table says.
const INTRODUCTION: &str = include_str!("introduction.md");

/// The document.
#[must_use]
pub fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    for table in TABLES {
        let (title, about) = (heading(table.title), table.text);
        text.push_str(&format!("\n## {title}\n\n{about}\n\n"));
        text.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in table.keys() {
            text.push_str(&row(key));
        }
    }
    text
}

fn heading(title: &str) -> String {
    if title.starts_with(['[', '{']) {
        format!("`{title}`")
    } else {
        title.to_owned()
    }
}

fn row(key: &Key) -> String {
    let default = match key.default {
        Default::Required => "required".to_owned(),
        Default::Value(value) => format!("`{value}`"),
        Default::Words(words) => words.to_owned(),
    };
    let cells = [
        format!("`{}`", key.name),
        kind(&key.kind),
        default,
        key.text.to_owned(),
    ];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Text(_) => "text".to_owned(),
        Kind::Pem(_) => "PEM text, as `{ file = \"..\" }` or `{ env = \"..\" }`".to_owned(),
        Kind::Choice(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            words.join(", ")
        }
        Kind::Time(least, most) => format!("time, {least} to {most}"),
        Kind::Size(least, most) => match *most {
            "18446744073709551615B" => "size".to_owned(),
            most => format!("size, {least} to {most}"),
        },
        Kind::Number(least, most) => format!("number, {least} to {most}"),
        Kind::Flag => "`true`, `false`".to_owned(),
        Kind::Texts(_) => "list of texts".to_owned(),
        Kind::TextsOr(..) => "list of texts or tables, see below".to_owned(),
        Kind::ChoiceOr(words, _) => {
            let words: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            format!("{}, or a table, see below", words.join(", "))
        }
        Kind::OneOrMore(_) => "text or list of texts".to_owned(),
        Kind::Table(_) => "table, see below".to_owned(),
        Kind::Named(_) => "tables by name".to_owned(),
        Kind::Many(_) => "list of tables".to_owned(),
        Kind::Pipeline => "pipeline".to_owned(),
        Kind::Pipelines => "pipelines by name".to_owned(),
        Kind::Fields => "tests by name".to_owned(),
        Kind::Members => "list of entries".to_owned(),
        Kind::Target => "text or entry".to_owned(),
        Kind::UpstreamOr(_) => "text or table, see below".to_owned(),
        Kind::ValuesByName => "texts by name".to_owned(),
        Kind::Free => "table".to_owned(),
    }
}
