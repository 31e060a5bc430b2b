//! A place in the configuration: file, line and column.
//!
//! It refuses to know the text that stands there.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where in the configuration something is written. `Display` gives `file:line:column`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The file, as it was named when it was loaded.
    pub file: Arc<Path>,
    /// Line, counted from 1; 0 when the whole file is meant.
    pub line: usize,
    /// Column in characters, counted from 1; 0 when the whole file is meant.
    pub column: usize,
}

impl Origin {
    /// The file as a whole.
    pub fn whole(file: &Path) -> Self {
        Self {
            file: Arc::from(file),
            line: 0,
            column: 0,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}
