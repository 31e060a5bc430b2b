//! What is wrong, or doubtful, in a configuration: message, place, the source line with a caret, and help.
//!
//! It refuses to know what the rules are, and it never sees a secret: the excerpt comes masked from `source`.

use std::fmt;

use super::origin::Origin;

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, but probably does not say what is meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// The source line of a [`Diagnostic`], ready to be shown: secrets masked, control characters replaced, cut to a
/// bounded length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The text of the line.
    pub text: String,
    /// Where the caret starts, in characters from the start of `text`.
    pub caret: usize,
    /// How many carets there are, at least one.
    pub width: usize,
}

/// One problem of a configuration. `Display` is laid out like a compiler's message, over several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is.
    pub origin: Origin,
    /// What is wrong, lower case, without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line it is about; absent when the file as a whole is meant.
    pub excerpt: Option<Excerpt>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.severity, self.message)?;
        let line = self.origin.line.to_string();
        let gutter = line.len();
        write!(f, "{:gutter$}--> {}", "", self.origin)?;
        if let Some(excerpt) = &self.excerpt {
            writeln!(f, "\n{:gutter$} |", "")?;
            writeln!(f, "{line} | {}", excerpt.text)?;
            let (caret, width) = (excerpt.caret, excerpt.width);
            write!(f, "{:gutter$} | {:caret$}{:^>width$}", "", "", "")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

/// Everything that is wrong in a configuration, in the order of the file, with its warnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Diagnostic>);

impl Problems {
    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        self.0
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .count()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn diagnostic(line: usize) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            origin: Origin {
                file: Path::new("gateway.toml").into(),
                line,
                column: 3,
            },
            message: "unknown key `b`".to_owned(),
            help: Some("remove it".to_owned()),
            excerpt: Some(Excerpt {
                text: "a.b = 1".to_owned(),
                caret: 2,
                width: 1,
            }),
        }
    }

    #[test]
    fn the_gutter_is_as_wide_as_the_line_number() {
        insta::assert_snapshot!(diagnostic(104), @"
        error: unknown key `b`
           --> gateway.toml:104:3
            |
        104 | a.b = 1
            |   ^
            = help: remove it
        ");
    }

    #[test]
    fn problems_are_separated_by_an_empty_line() {
        let whole = Diagnostic {
            origin: Origin::whole(Path::new("gateway.toml")),
            severity: Severity::Warning,
            help: None,
            excerpt: None,
            ..diagnostic(1)
        };
        insta::assert_snapshot!(Problems(vec![diagnostic(1), whole]), @"
        error: unknown key `b`
         --> gateway.toml:1:3
          |
        1 | a.b = 1
          |   ^
          = help: remove it

        warning: unknown key `b`
         --> gateway.toml
        ");
    }
}
