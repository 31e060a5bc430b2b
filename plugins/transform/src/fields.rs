//! Edits of named fields, headers or query parameters: what is removed, renamed, set, filled in and added, compiled once.
//! Values are made before any edit is done. Knows where neither fields stand nor how they are written.

use std::borrow::Cow;

use crate::config;
use crate::failure::Failure;
use crate::template::{Names, Scene, Templates};
use crate::text::{Place, Text};

/// Compiled edits.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    remove: Vec<String>,
    rename: Vec<(String, String)>,
    set: Vec<Field>,
    default: Vec<Field>,
    append: Vec<Field>,
}

/// A name and its values.
#[derive(Debug)]
struct Field {
    /// Where it stands in the configuration.
    key: String,
    name: String,
    values: Vec<Text>,
}

/// Edits with the values of one exchange.
#[derive(Debug)]
pub(crate) struct Made<'f> {
    fields: &'f Fields,
    set: Vec<Values<'f>>,
    default: Vec<Values<'f>>,
    append: Vec<Values<'f>>,
}

type Values<'f> = (&'f str, Vec<Cow<'f, str>>);

/// Fields that can be edited.
pub(crate) trait Editable {
    /// Whether there is a field of this name.
    fn has(&self, name: &str) -> bool;
    /// Removes all of this name.
    fn remove(&mut self, name: &str) -> Result<(), Failure>;
    /// Gives all of one name another, where they take the place of what is there; nothing when there is none.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), Failure>;
    /// Puts these in the place of all of this name; none removes them.
    fn set(&mut self, name: &str, values: &[Cow<'_, str>]) -> Result<(), Failure>;
    /// Adds one.
    fn append(&mut self, name: &str, value: &str) -> Result<(), Failure>;
}

impl Fields {
    /// Compiles the edits of the table `key`. `name` gives the form in which a name is known, or says why it is none.
    pub(crate) fn new(
        templates: &mut Templates,
        names: Names<'_>,
        place: Place,
        key: &str,
        config: &config::FieldEdits,
        name: impl Fn(&str) -> Result<String, String>,
    ) -> Result<Self, String> {
        let checked = |key: &str, text: &str| name(text).map_err(|what| format!("`{key}`: {what}"));
        let mut fields = |table: &str, config: &std::collections::BTreeMap<String, portcullis::Strings>| {
            let mut fields: Vec<Field> = Vec::new();
            for (written, values) in config {
                let key = format!("{key}.{table}.{written}");
                let name = checked(&key, written)?;
                if fields.iter().any(|field| field.name == name) {
                    return Err(format!("`{key}` stands there twice"));
                }
                let values = values
                    .iter()
                    .map(|value| Text::new(templates, names, place, &key, value));
                let values = values.collect::<Result<_, _>>()?;
                fields.push(Field { key, name, values });
            }
            Ok(fields)
        };
        let (set, default, append) = (
            fields("set", &config.set)?,
            fields("default", &config.default)?,
            fields("append", &config.append)?,
        );
        let remove = config
            .remove
            .iter()
            .map(|name| checked(&format!("{key}.remove"), name));
        let rename = config.rename.iter().map(|(from, to)| {
            let key = format!("{key}.rename.{from}");
            Ok((checked(&key, from)?, checked(&key, to)?))
        });
        Ok(Self {
            remove: remove.collect::<Result<_, _>>()?,
            rename: rename.collect::<Result<_, String>>()?,
            set,
            default,
            append,
        })
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.remove.is_empty()
            && self.rename.is_empty()
            && [&self.set, &self.default, &self.append]
                .iter()
                .all(|fields| fields.is_empty())
    }

    /// Makes the values.
    ///
    /// # Errors
    /// As [`Text::resolve`].
    pub(crate) fn make<'f>(&'f self, scene: &Scene<'_>) -> Result<Made<'f>, Failure> {
        let values = |fields: &'f [Field]| {
            let made = fields.iter().map(|field| field.make(scene));
            made.collect::<Result<Vec<_>, _>>()
        };
        Ok(Made {
            fields: self,
            set: values(&self.set)?,
            default: values(&self.default)?,
            append: values(&self.append)?,
        })
    }
}

impl Field {
    /// The values that are not empty.
    fn make(&self, scene: &Scene<'_>) -> Result<Values<'_>, Failure> {
        let mut values = Vec::with_capacity(self.values.len());
        for text in &self.values {
            let value = text.resolve(scene).map_err(|failure| failure.at(&self.key))?;
            if !value.is_empty() {
                values.push(value);
            }
        }
        Ok((&self.name, values))
    }
}

impl Made<'_> {
    /// Does the edits: remove, rename, set, default, append.
    ///
    /// # Errors
    /// What the gateway did not do.
    pub(crate) fn apply(&self, to: &mut impl Editable) -> Result<(), Failure> {
        for name in &self.fields.remove {
            to.remove(name)?;
        }
        for (from, into) in &self.fields.rename {
            to.rename(from, into)?;
        }
        for (name, values) in &self.set {
            to.set(name, values)?;
        }
        for (name, values) in &self.default {
            if !values.is_empty() && !to.has(name) {
                to.set(name, values)?;
            }
        }
        for (name, values) in &self.append {
            for value in values {
                to.append(name, value)?;
            }
        }
        Ok(())
    }
}
