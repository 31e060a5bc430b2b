//! The configuration of `compress`. Knows no exchange.

use crate::coding::Coding;
use crate::encode::Levels;
use crate::media::{self, MediaType};
use crate::size::Size;

/// Configuration of the plugin.
#[portcullis::config]
#[derive(Debug)]
pub struct Config {
    /// Codings in the order of preference; it decides among those that the client likes equally.
    #[serde(default = "codings")]
    pub codings: Vec<Coding>,
    /// Media types that are compressed: a type, `text/*`, or `application/*+json`. Event streams never are.
    #[serde(default = "media::usual")]
    pub types: Vec<MediaType>,
    /// Shorter bodies stay as they are.
    #[serde(default = "min_size")]
    pub min_size: Size,
    /// Level of zstd, 1 to 19.
    #[serde(default = "zstd_level")]
    #[schemars(range(min = 1, max = 19))]
    pub zstd_level: u8,
    /// Quality of br, 0 to 11.
    #[serde(default = "br_level")]
    #[schemars(range(min = 0, max = 11))]
    pub br_level: u8,
    /// Level of gzip, 1 to 9.
    #[serde(default = "gzip_level")]
    #[schemars(range(min = 1, max = 9))]
    pub gzip_level: u8,
}

impl Config {
    /// What a schema cannot say, and what it says once more for those who have none.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (at, coding) in self.codings.iter().enumerate() {
            if self.codings.iter().take(at).any(|other| other == coding) {
                return Err(format!("`codings` names `{}` twice", coding.name()));
            }
        }
        if self.codings.is_empty() {
            return Err("`codings` is empty: it takes `zstd`, `br` and `gzip`".to_owned());
        }
        if self.types.is_empty() {
            return Err("`types` is empty: it takes media types such as `text/*`".to_owned());
        }
        for (key, level, from, to) in [
            ("zstd-level", self.zstd_level, 1, 19),
            ("br-level", self.br_level, 0, 11),
            ("gzip-level", self.gzip_level, 1, 9),
        ] {
            if !(from..=to).contains(&level) {
                return Err(format!("`{key}` is {level}: it goes from {from} to {to}"));
            }
        }
        Ok(())
    }

    pub(crate) fn levels(&self) -> Levels {
        Levels {
            zstd: self.zstd_level,
            br: self.br_level,
            gzip: self.gzip_level,
        }
    }
}

fn codings() -> Vec<Coding> {
    vec![Coding::Zstd, Coding::Br, Coding::Gzip]
}

fn min_size() -> Size {
    Size(1 << 10)
}

fn zstd_level() -> u8 {
    3
}

fn br_level() -> u8 {
    4
}

fn gzip_level() -> u8 {
    4
}
