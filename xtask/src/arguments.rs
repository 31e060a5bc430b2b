//! Flags and options of one command, by hand: a parser crate would cost every user of `cargo xtask` its
//! compile time.

use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// The words after the command, taken out one by one; what is left at the end was not understood.
#[derive(Debug)]
pub(crate) struct Arguments {
    words: Vec<String>,
}

impl Arguments {
    pub(crate) fn new(words: &[String]) -> Self {
        Self {
            words: words.to_vec(),
        }
    }

    /// Whether `name` (with its dashes) is there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|word| word != name);
        self.words.len() != before
    }

    /// The value of `--name VALUE` or `--name=VALUE`; the last one wins.
    ///
    /// # Errors
    /// A missing value, or one that does not parse.
    pub(crate) fn option<T>(&mut self, name: &str) -> Result<Option<T>>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let mut found = None;
        let mut rest = Vec::new();
        let mut words = std::mem::take(&mut self.words).into_iter();
        while let Some(word) = words.next() {
            let value = if word == name {
                words.next().with_context(|| format!("{name} needs a value"))?
            } else if let Some(value) = word.strip_prefix(name).and_then(|tail| tail.strip_prefix('=')) {
                value.to_owned()
            } else {
                rest.push(word);
                continue;
            };
            found = Some(
                value
                    .parse()
                    .with_context(|| format!("{name}: bad value `{value}`"))?,
            );
        }
        self.words = rest;
        Ok(found)
    }

    /// # Errors
    /// Names the first word that nothing took.
    pub(crate) fn finish(self) -> Result<()> {
        match self.words.first() {
            Some(word) => bail!("unknown argument `{word}`"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments {
        Arguments::new(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_and_options_are_taken_out_and_the_rest_is_refused() {
        let mut given = arguments("--check --port 81 --admin-port=82");
        assert!(given.flag("--check"));
        assert!(!given.flag("--check"));
        assert_eq!(given.option::<u16>("--port").unwrap(), Some(81));
        assert_eq!(given.option::<u16>("--admin-port").unwrap(), Some(82));
        assert_eq!(given.option::<u16>("--port").unwrap(), None);
        given.finish().unwrap();
        assert_eq!(
            arguments("--what").finish().unwrap_err().to_string(),
            "unknown argument `--what`"
        );
    }

    #[test]
    fn a_missing_or_bad_value_is_named() {
        let missing = arguments("--port").option::<u16>("--port").unwrap_err();
        assert_eq!(missing.to_string(), "--port needs a value");
        let bad = arguments("--port x").option::<u16>("--port").unwrap_err();
        assert_eq!(bad.to_string(), "--port: bad value `x`");
    }
}
