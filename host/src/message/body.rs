//! A whole body in memory, up to a cap.
//!
//! Refuses to know encodings (`decode`) and deadlines: the caller puts its own around these functions.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt as _;

/// What a body may claim of memory before its bytes are there, in bytes.
const MAX_RESERVE: usize = 64 * 1024;

/// A body that was read to its end.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// Its bytes.
    pub bytes: Bytes,
    /// The fields behind them, if any.
    pub trailers: Option<HeaderMap>,
}

/// What [`collect`] found.
#[derive(Debug)]
pub enum Collected<B> {
    /// The body ended within the cap.
    Whole(Whole),
    /// The body is longer.
    Overflow {
        /// All that was read: longer than the cap by at most one frame. `prefix.slice(..max)` is the part
        /// within the cap; a body that streams on sends all of it before `rest`.
        prefix: Bytes,
        /// The body from there on.
        rest: B,
    },
}

/// Why [`collect_capped`] has no body.
#[derive(Debug, thiserror::Error)]
pub enum CollectError<E> {
    /// Longer than the cap, in bytes. The rest was not read.
    #[error("the body is longer than {max} bytes")]
    TooLarge {
        /// The cap.
        max: usize,
    },
    /// Reading the body failed.
    #[error("the body could not be read")]
    Body(#[source] E),
}

/// Reads `body` to its end, unless it is longer than `max` bytes. A body that announces more is refused before
/// a byte of it is read; one that comes in a single frame is not copied.
///
/// # Errors
/// [`CollectError`].
pub async fn collect_capped<B>(body: B, max: usize) -> Result<Whole, CollectError<B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    if usize::try_from(body.size_hint().lower()).is_ok_and(|least| least <= max) {
        match collect(body, max).await {
            Ok(Collected::Whole(whole)) => return Ok(whole),
            Ok(Collected::Overflow { .. }) => {}
            Err(error) => return Err(CollectError::Body(error)),
        }
    }
    Err(CollectError::TooLarge { max })
}

/// Reads `body` until it ends or more than `max` bytes are there, and then gives back both what was read and
/// what was not. Holds at most `max` bytes and one frame. A body in a single frame is not copied.
///
/// # Errors
/// The body's own.
pub async fn collect<B>(mut body: B, max: usize) -> Result<Collected<B>, B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut read = Read::default();
    let mut trailers: Option<HeaderMap> = None;
    while let Some(frame) = body.frame().await {
        let frame = match frame?.into_data() {
            Ok(data) => {
                read.push(data, || reserve(&body, max));
                if read.len() > max {
                    return Ok(Collected::Overflow {
                        prefix: read.into_bytes(),
                        rest: body,
                    });
                }
                continue;
            }
            Err(frame) => frame,
        };
        if let Ok(fields) = frame.into_trailers() {
            match &mut trailers {
                Some(trailers) => trailers.extend(fields),
                None => trailers = Some(fields),
            }
        }
    }
    Ok(Collected::Whole(Whole {
        bytes: read.into_bytes(),
        trailers,
    }))
}

/// The frames so far: the first one as it came, joined only when a second one follows.
#[derive(Default)]
struct Read {
    first: Bytes,
    joined: BytesMut,
}

impl Read {
    fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn push(&mut self, data: Bytes, reserve: impl FnOnce() -> usize) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        if self.joined.is_empty() {
            self.joined.reserve(self.first.len() + data.len() + reserve());
            self.joined.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.joined.extend_from_slice(&data);
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() {
            self.first
        } else {
            self.joined.freeze()
        }
    }
}

fn reserve<B: Body>(body: &B, max: usize) -> usize {
    usize::try_from(body.size_hint().lower())
        .unwrap_or(max)
        .min(max)
        .min(MAX_RESERVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http_body::Frame;
    use http_body_util::{Empty, Full};
    use proptest::prelude::*;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// A body of given frames.
    #[derive(Debug)]
    struct Frames(std::vec::IntoIter<Result<Frame<Bytes>, &'static str>>);

    impl Frames {
        fn new(frames: Vec<Result<Frame<Bytes>, &'static str>>) -> Self {
            Self(frames.into_iter())
        }

        fn of(pieces: &[&'static str]) -> Self {
            Self::new(
                pieces
                    .iter()
                    .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))
                    .collect(),
            )
        }
    }

    impl Body for Frames {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(self.0.next())
        }
    }

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn a_single_frame_is_not_copied() {
        let bytes = Bytes::from(vec![7; 100]);
        let whole = run(collect_capped(Full::new(bytes.clone()), 100)).unwrap();
        assert_eq!(whole.bytes.as_ptr(), bytes.as_ptr());
        assert_eq!(whole.bytes.len(), 100);
    }

    #[test]
    fn an_empty_body_is_whole() {
        assert!(
            run(collect_capped(Empty::<Bytes>::new(), 0))
                .unwrap()
                .bytes
                .is_empty()
        );
        assert!(
            run(collect_capped(Frames::of(&["", ""]), 0))
                .unwrap()
                .bytes
                .is_empty()
        );
    }

    #[test]
    fn frames_are_joined_and_trailers_kept_aside() {
        let mut fields = HeaderMap::new();
        fields.insert("grpc-status", HeaderValue::from_static("0"));
        let body = Frames::new(vec![
            Ok(Frame::data(Bytes::from_static(b"ab"))),
            Ok(Frame::data(Bytes::from_static(b"c"))),
            Ok(Frame::trailers(fields.clone())),
        ]);
        let whole = run(collect_capped(body, 3)).unwrap();
        assert_eq!(whole.bytes, "abc");
        assert_eq!(whole.trailers, Some(fields));
    }

    #[test]
    fn a_longer_body_is_refused() {
        let error = run(collect_capped(Frames::of(&["ab", "cd"]), 3)).unwrap_err();
        assert!(matches!(error, CollectError::TooLarge { max: 3 }));
    }

    #[test]
    fn a_body_that_announces_too_much_is_not_read() {
        /// Fails the test when it is read.
        struct Huge;
        impl Body for Huge {
            type Data = Bytes;
            type Error = Infallible;
            fn poll_frame(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                panic!("read")
            }
            fn size_hint(&self) -> http_body::SizeHint {
                http_body::SizeHint::with_exact(u64::MAX)
            }
        }
        assert!(matches!(
            run(collect_capped(Huge, 10)),
            Err(CollectError::TooLarge { .. })
        ));
    }

    #[test]
    fn overflow_gives_prefix_and_rest() {
        let Collected::Overflow { prefix, rest } = run(collect(Frames::of(&["ab", "cd", "ef"]), 3)).unwrap()
        else {
            panic!("not an overflow");
        };
        assert_eq!(prefix, "abcd");
        assert_eq!(run(collect_capped(rest, 10)).unwrap().bytes, "ef");
    }

    #[test]
    fn a_failing_body_is_an_error() {
        let body = Frames::new(vec![Ok(Frame::data(Bytes::from_static(b"ab"))), Err("reset")]);
        assert!(matches!(
            run(collect_capped(body, 10)),
            Err(CollectError::Body("reset"))
        ));
    }

    proptest! {
        #[test]
        fn nothing_is_lost(pieces in prop::collection::vec("[a-z]{0,5}", 0..8), max in 0_usize..20) {
            let text = pieces.concat();
            let frames: Vec<_> = pieces.into_iter().map(|piece| Ok(Frame::data(Bytes::from(piece)))).collect();
            match run(collect(Frames::new(frames), max)).unwrap() {
                Collected::Whole(whole) => {
                    prop_assert!(text.len() <= max);
                    prop_assert_eq!(whole.bytes, text);
                }
                Collected::Overflow { prefix, rest } => {
                    prop_assert!(prefix.len() > max && text.len() > max);
                    let rest = run(collect_capped(rest, 1000)).unwrap().bytes;
                    prop_assert_eq!([prefix, rest].concat(), text.as_bytes());
                }
            }
        }
    }
}
