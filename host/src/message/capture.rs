//! A copy of a body that is made while it streams past. It refuses to know who wants it.

use bytes::{Bytes, BytesMut};

/// A copy in the making: the whole body or nothing.
#[derive(Debug)]
pub struct Capture {
    /// Bytes that may still come.
    left: usize,
    /// What came so far; none when it was too much.
    bytes: Option<BytesMut>,
    complete: bool,
}

impl Capture {
    /// A copy of at most `max` bytes.
    #[must_use]
    pub fn new(max: u64) -> Self {
        Self {
            left: usize::try_from(max).unwrap_or(usize::MAX),
            bytes: Some(BytesMut::new()),
            complete: false,
        }
    }

    /// Copies a piece. A copy that would become too long is given up, and its memory with it.
    pub fn push(&mut self, piece: &[u8]) {
        match self.left.checked_sub(piece.len()) {
            Some(left) => {
                self.left = left;
                if let Some(bytes) = &mut self.bytes {
                    bytes.extend_from_slice(piece);
                }
            }
            None => self.bytes = None,
        }
    }

    /// The body has ended as it should.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    /// There is no use in reading on.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.bytes.is_none()
    }

    /// The copy; none when the body was too long or ended early.
    #[must_use]
    pub fn take(self) -> Option<Bytes> {
        self.bytes.filter(|_| self.complete).map(BytesMut::freeze)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_whole_or_none() {
        for (max, pieces, ends, want) in [
            (6, &["abc", "def"][..], true, Some("abcdef")),
            (5, &["abc", "def"], true, None),
            (6, &["abc", "def"], false, None),
            (0, &[], true, Some("")),
            (2, &["abc", "", "d"], true, None),
        ] {
            let mut capture = Capture::new(max);
            for piece in pieces {
                capture.push(piece.as_bytes());
            }
            if ends {
                capture.complete();
            }
            assert_eq!(
                capture.take().as_deref(),
                want.map(str::as_bytes),
                "{max} {pieces:?}"
            );
        }
    }
}
