//! Content codings undone (RFC 9110 section 8.4): `br`, `gzip`, `deflate`, `zstd`, on whole buffered bodies and
//! under caps, because a plugin must see what the upstream will see, and a few bytes can claim gigabytes.
//!
//! Refuses to know whether the message is a request or a response, and who asked.

mod codec;

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// At most so many codings on top of each other; `identity` does not count.
pub const MAX_CODINGS: usize = 2;

/// Output up to here is never refused for its ratio, in bytes: small bodies compress well without malice.
pub const RATIO_FLOOR: usize = 64 * 1024;

/// What a decoded body may cost. Both hold for every layer of nested codings, and the ratio is against the
/// bytes that came over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest output, in bytes.
    pub max_output: usize,
    /// Most bytes of output per byte of input, beyond [`RATIO_FLOOR`].
    pub max_ratio: usize,
}

/// A content coding that the gateway can undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `gzip` or `x-gzip` (RFC 1952).
    Gzip,
    /// `deflate`: zlib (RFC 1950), or raw DEFLATE (RFC 1951) as some senders mean it.
    Deflate,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878) with a window of at most 8 MiB (RFC 9659).
    Zstd,
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        })
    }
}

/// Why a body has no decoded form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A coding that the gateway does not know; for a request this is 415.
    #[error("the content coding {0:?} is not known")]
    Unknown(String),
    /// More than [`MAX_CODINGS`]; for a request this is 415.
    #[error("the body has more than {MAX_CODINGS} content codings")]
    TooMany,
    /// The output would exceed the limits; decoding stopped there.
    #[error("the decoded body is longer than {max} bytes")]
    TooLarge {
        /// The cap that held, in bytes.
        max: usize,
    },
    /// Not what the coding says: damaged, cut short, or followed by other bytes.
    #[error("the body is no valid {0}")]
    Corrupt(Coding),
}

/// The codings of a body, in the order in which they were applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codings([Option<Coding>; MAX_CODINGS]);

impl Codings {
    /// Reads every `Content-Encoding` line.
    ///
    /// # Errors
    /// [`DecodeError::Unknown`] and [`DecodeError::TooMany`].
    pub fn of(headers: &HeaderMap) -> Result<Self, DecodeError> {
        let mut codings = Self::default();
        let mut slots = codings.0.iter_mut();
        for line in headers.get_all(CONTENT_ENCODING) {
            for name in line
                .as_bytes()
                .split(|&byte| byte == b',')
                .map(<[u8]>::trim_ascii)
            {
                if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                    continue;
                }
                let coding = coding(name).ok_or_else(|| unknown(name))?;
                *slots.next().ok_or(DecodeError::TooMany)? = Some(coding);
            }
        }
        Ok(codings)
    }

    /// Whether the body is as it is.
    pub fn is_identity(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// Undoes the codings, the last applied first. A body without codings, or without bytes, is handed back.
    /// The message's `Content-Encoding` and `Content-Length` are the caller's to correct.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] and [`DecodeError::Corrupt`].
    pub fn decode(&self, body: &Bytes, limits: &Limits) -> Result<Bytes, DecodeError> {
        let max = limits
            .max_output
            .min(body.len().saturating_mul(limits.max_ratio).max(RATIO_FLOOR));
        let mut bytes = body.clone();
        for coding in self.0.iter().rev().flatten() {
            if bytes.is_empty() {
                break;
            }
            bytes = codec::decode(*coding, &bytes, max)?.into();
        }
        Ok(bytes)
    }
}

fn coding(name: &[u8]) -> Option<Coding> {
    let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
    if is("gzip") || is("x-gzip") {
        Some(Coding::Gzip)
    } else if is("br") {
        Some(Coding::Brotli)
    } else if is("zstd") {
        Some(Coding::Zstd)
    } else if is("deflate") {
        Some(Coding::Deflate)
    } else {
        None
    }
}

fn unknown(name: &[u8]) -> DecodeError {
    let shown = name.get(..32).unwrap_or(name);
    DecodeError::Unknown(String::from_utf8_lossy(shown).into_owned())
}

#[cfg(test)]
mod tests;
