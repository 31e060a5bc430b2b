//! The configuration of `ip-filter` and what its schema cannot say. Knows no request and reads no list.

use portcullis::Strings;

/// Configuration of the plugin.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// Addresses and ranges (CIDR) that are let through. A text may have many lines, one address or range each, with
    /// comments behind `#` or `;`: write `{ file = ".." }` for a list of its own.
    pub allow: Option<Strings>,
    /// Addresses and ranges that are refused, even where `allow` has them, too; written as those of `allow`.
    #[serde(default)]
    pub deny: Strings,
    /// What happens to an address that is in neither list; `deny` unless said otherwise where there is an `allow`, else
    /// `allow`.
    pub default: Option<Otherwise>,
    /// `enforce`, or `report`: nothing is refused, only counted and noted.
    #[serde(default)]
    pub mode: Mode,
}

/// What happens to an address that no list has.
#[portcullis::config]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It is let through.
    Allow,
    /// It is refused.
    Deny,
}

/// Whether requests are refused.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// They are only counted and noted.
    Report,
}

impl Config {
    /// What happens to an address that no list has. A list `allow` that is empty, as a file may become, lets nobody
    /// through.
    pub(crate) fn otherwise(&self) -> Result<Otherwise, String> {
        match (&self.allow, self.default) {
            (None, None) if self.deny.is_empty() => {
                Err("`allow`, `deny` and `default` are all missing: give at least one".to_owned())
            }
            (Some(_), Some(Otherwise::Allow)) => {
                Err("`allow` has no effect beside `default = \"allow\"`: leave one of them out".to_owned())
            }
            (_, Some(otherwise)) => Ok(otherwise),
            (Some(_), None) => Ok(Otherwise::Deny),
            (None, None) => Ok(Otherwise::Allow),
        }
    }
}
