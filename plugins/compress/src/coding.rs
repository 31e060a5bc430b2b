//! The content codings that the plugin can apply, by their names. Knows neither encoders nor weights.

/// A content coding (RFC 9110 section 8.4.1).
#[portcullis::config]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `zstd` (RFC 8878).
    Zstd,
    /// `br` (RFC 7932).
    Br,
    /// `gzip` (RFC 1952).
    Gzip,
}

impl Coding {
    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }

    /// Whether `name`, in any case, means this coding; `x-gzip` is `gzip` (RFC 9110 section 8.4.1.3).
    pub(crate) fn is_called(self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.name()) || (self == Self::Gzip && name.eq_ignore_ascii_case("x-gzip"))
    }
}
