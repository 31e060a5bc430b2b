//! Bytes that the host keeps: a buffered, captured or stored body. Knows nothing of what they mean.

use crate::host;

/// Bytes kept by the host. Handing one on, as a replacement body or into [`shared`](crate::shared), copies nothing
/// through the plugin's memory.
#[derive(Debug)]
pub struct Blob(pub(crate) host::Blob);

/// How much [`Blob::to_vec`] asks for in one call.
const PIECE: u32 = 1 << 20;

impl Blob {
    /// Gives bytes to the host.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(host::Blob::from_bytes(bytes))
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `max` bytes from `offset`; fewer at the end, none beyond it.
    #[must_use]
    pub fn read(&self, offset: u64, max: u32) -> Vec<u8> {
        self.0.read(offset, max)
    }

    /// All bytes. The entry's `max-body` bounds a body, `max-memory` what fits into the plugin.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let length = self.len();
        let mut bytes = self.read(0, PIECE);
        while (bytes.len() as u64) < length {
            let piece = self.read(bytes.len() as u64, PIECE);
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    /// Offset of the first `needle` at or after `start`, searched by the host.
    #[must_use]
    pub fn find(&self, needle: &[u8], start: u64) -> Option<u64> {
        self.0.find(needle, start)
    }

    /// A second handle to the same bytes.
    #[must_use]
    pub fn share(&self) -> Self {
        Self(self.0.share())
    }
}

/// A body to send: nothing, bytes of the plugin, or a blob of the host.
#[derive(Debug, Default)]
pub enum Content {
    /// No body.
    #[default]
    Empty,
    /// Bytes made by the plugin.
    Bytes(Vec<u8>),
    /// Bytes that the host has already.
    Blob(Blob),
}

impl Content {
    /// The bytes, wherever they are; meant for tests.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        match self {
            Self::Empty => Vec::new(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Blob(blob) => blob.to_vec(),
        }
    }
}

impl From<()> for Content {
    fn from((): ()) -> Self {
        Self::Empty
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<Blob> for Content {
    fn from(blob: Blob) -> Self {
        Self::Blob(blob)
    }
}
