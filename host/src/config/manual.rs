//! The keys of the configuration, described once: for the JSON Schema that editors read and for
//! `docs/configuration.md`. Tests prove that the checks ask for the same keys with the same ranges and defaults.
//!
//! It refuses to read a configuration.

mod markdown;
mod schema;
mod tables;

pub use markdown::markdown;
pub use schema::schema;

/// A kind of table.
#[derive(Debug)]
struct Table {
    /// Its name in the schema.
    name: &'static str,
    /// How it is written.
    title: &'static str,
    /// What it is.
    text: &'static str,
    /// Its keys, in groups that tables may share.
    keys: &'static [&'static [Key]],
}

impl Table {
    fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }
}

/// A key of a table.
#[derive(Debug)]
struct Key {
    name: &'static str,
    kind: Kind,
    default: Default,
    text: &'static str,
}

/// What a key has when it is absent.
#[derive(Debug)]
enum Default {
    /// It must be there.
    Required,
    /// As if this TOML stood there.
    Value(&'static str),
    /// In words.
    Words(&'static str),
}

/// What a key's value is.
#[derive(Debug)]
enum Kind {
    /// Text; an example that is right.
    Text(&'static str),
    /// Text in PEM, from outside the file; the name of such a file.
    Pem(&'static str),
    /// Text of one of these words.
    Choice(&'static [&'static str]),
    /// A span of time between these.
    Time(&'static str, &'static str),
    /// An amount of bytes between these.
    Size(&'static str, &'static str),
    /// A whole number between these.
    Number(i64, i64),
    Flag,
    /// A list of texts; an example of one.
    Texts(&'static str),
    /// A list of texts and tables of this kind; an example of a text.
    TextsOr(&'static str, &'static str),
    /// Text of one of these words, or a table of one of these kinds.
    ChoiceOr(&'static [&'static str], &'static [&'static str]),
    /// A text, or a list of them; an example of one.
    OneOrMore(&'static str),
    /// A table of this kind.
    Table(&'static str),
    /// A table of tables of this kind, by name.
    Named(&'static str),
    /// A list of tables of this kind.
    Many(&'static str),
    /// A list of pipeline elements.
    Pipeline,
    /// A table of lists of pipeline elements, by name.
    Pipelines,
    /// A table of tests of fields, by name.
    Fields,
    /// The members of an `any`.
    Members,
    /// An upstream's name, or a plugin that answers.
    Target,
    /// An upstream's name, or a table of this kind.
    UpstreamOr(&'static str),
    /// A table of texts, by name.
    ValuesByName,
    /// Whatever the plugin understands.
    Free,
}

#[cfg(test)]
mod tests;
