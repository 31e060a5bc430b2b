//! The decoder of the chunked transfer coding (RFC 9112 section 7.1), stricter than the grammar where leniency has
//! led to smuggling. It refuses to know where the bytes come from.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::lines::Lines;
use super::trailers::{self, TrailerError};

/// The digits of the largest chunk size: 64 bits.
const MAX_DIGITS: u8 = 16;
/// The bytes between a chunk's size and its line end: extensions, which are read over.
const MAX_EXTENSION: u16 = 1024;
/// What follows the data of the last chunk when there are no extensions and no trailers.
const USUAL_END: &[u8] = b"\r\n0\r\n\r\n";

/// Decodes one body from a buffer that the caller fills.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    max_trailer_bytes: usize,
    max_trailers: usize,
}

/// What a step found.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// The buffer holds no whole element: fill it.
    More,
    /// A piece of content, never empty.
    Data(Bytes),
    /// The trailer section, after which the message has ended.
    Trailers(HeaderMap),
    /// The message has ended.
    End,
}

/// Why a body is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkError {
    Size,
    Extension,
    SizeEnd,
    DataEnd,
    Trailer,
    TrailerSize,
}

impl ChunkError {
    /// The text for a log.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Size => "bad chunk size",
            Self::Extension => "chunk extension too long",
            Self::SizeEnd => "bad line end after a chunk size",
            Self::DataEnd => "bad line end after chunk data",
            Self::Trailer => "bad trailer section",
            Self::TrailerSize => "trailer section too large",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    Size {
        value: u64,
        digits: u8,
    },
    /// Blanks between the size and an extension or the line end.
    Gap {
        value: u64,
        seen: u16,
    },
    Extension {
        value: u64,
        seen: u16,
    },
    SizeLf {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    Trailer(Lines<0>),
    End,
}

const START: State = State::Size { value: 0, digits: 0 };

impl Decoder {
    /// A decoder at the start of a body, with the limits of its trailer section.
    pub(crate) const fn new(max_trailer_bytes: usize, max_trailers: usize) -> Self {
        Self {
            state: START,
            max_trailer_bytes,
            max_trailers,
        }
    }

    /// Takes the next element off the front of `buffer`. Content is not copied.
    pub(crate) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, ChunkError> {
        loop {
            match &mut self.state {
                State::Data { left } => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                    if here == 0 {
                        return Ok(Decoded::More);
                    }
                    *left -= here as u64;
                    if *left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Decoded::Data(buffer.split_to(here).freeze()));
                }
                State::Trailer(lines) => {
                    let Some(length) = lines.find(buffer).map_err(|_| ChunkError::Trailer)? else {
                        let fits = buffer.len() <= self.max_trailer_bytes;
                        return if fits {
                            Ok(Decoded::More)
                        } else {
                            Err(ChunkError::TrailerSize)
                        };
                    };
                    if length > self.max_trailer_bytes.max(2) {
                        return Err(ChunkError::TrailerSize);
                    }
                    let section = buffer.split_to(length).freeze();
                    let map =
                        trailers::parse(&section, lines, self.max_trailers).map_err(|error| match error {
                            TrailerError::Syntax => ChunkError::Trailer,
                            TrailerError::TooMany => ChunkError::TrailerSize,
                        })?;
                    self.state = State::End;
                    return Ok(if map.is_empty() {
                        Decoded::End
                    } else {
                        Decoded::Trailers(map)
                    });
                }
                State::End => return Ok(Decoded::End),
                _ => {
                    let Some(byte) = buffer.first().copied() else {
                        return Ok(Decoded::More);
                    };
                    buffer.advance(1);
                    self.state = next(self.state, byte)?;
                }
            }
        }
    }

    /// Ends the message if the buffer begins with the usual end, so that the last piece of content can be known to
    /// be the last.
    pub(crate) fn try_end(&mut self, buffer: &mut BytesMut) -> bool {
        if matches!(self.state, State::DataCr) && buffer.starts_with(USUAL_END) {
            buffer.advance(USUAL_END.len());
            self.state = State::End;
        }
        matches!(self.state, State::End)
    }

    /// How many bytes of the current chunk are still to come.
    pub(crate) const fn left_in_chunk(&self) -> u64 {
        match self.state {
            State::Data { left } => left,
            _ => 0,
        }
    }
}

/// The state after one byte of a size line or of the line end after content.
fn next(state: State, byte: u8) -> Result<State, ChunkError> {
    Ok(match (state, byte) {
        (State::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < MAX_DIGITS => {
            let digit = char::from(byte).to_digit(16).ok_or(ChunkError::Size)?;
            State::Size {
                value: (value << 4) | u64::from(digit),
                digits: digits + 1,
            }
        }
        (
            State::Size { value, digits: 1.. } | State::Gap { value, .. } | State::Extension { value, .. },
            b'\r',
        ) => State::SizeLf { value },
        (State::Size { value, digits: 1.. }, b' ' | b'\t') => State::Gap { value, seen: 1 },
        (State::Size { value, digits: 1.. }, b';') => State::Extension { value, seen: 1 },
        (State::Size { .. }, _) => return Err(ChunkError::Size),
        (
            State::Gap {
                seen: MAX_EXTENSION..,
                ..
            }
            | State::Extension {
                seen: MAX_EXTENSION..,
                ..
            },
            _,
        ) => {
            return Err(ChunkError::Extension);
        }
        (State::Gap { value, seen }, b' ' | b'\t') => State::Gap {
            value,
            seen: seen + 1,
        },
        (State::Gap { value, seen }, b';') => State::Extension {
            value,
            seen: seen + 1,
        },
        (State::Extension { value, seen }, b'\t' | b' '..=b'~' | 0x80..) => State::Extension {
            value,
            seen: seen + 1,
        },
        (State::Gap { .. } | State::Extension { .. }, _) => return Err(ChunkError::SizeEnd),
        (State::SizeLf { value: 0 }, b'\n') => State::Trailer(Lines::default()),
        (State::SizeLf { value }, b'\n') => State::Data { left: value },
        (State::SizeLf { .. }, _) => return Err(ChunkError::SizeEnd),
        (State::DataCr, b'\r') => State::DataLf,
        (State::DataLf, b'\n') => START,
        (State::DataCr | State::DataLf, _) => return Err(ChunkError::DataEnd),
        (State::Data { .. } | State::Trailer(_) | State::End, _) => state,
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// What a body decodes to: content, trailers, and how it ended.
    #[derive(Debug, PartialEq)]
    struct Outcome {
        content: Vec<u8>,
        trailers: Option<HeaderMap>,
        end: Result<bool, ()>,
    }

    fn decode(pieces: &[&[u8]]) -> Outcome {
        let mut decoder = Decoder::new(256, 4);
        let mut buffer = BytesMut::new();
        let mut outcome = Outcome {
            content: Vec::new(),
            trailers: None,
            end: Ok(false),
        };
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                match decoder.decode(&mut buffer) {
                    Ok(Decoded::More) => break,
                    Ok(Decoded::Data(data)) => {
                        assert!(!data.is_empty());
                        outcome.content.extend_from_slice(&data);
                        if decoder.try_end(&mut buffer) {
                            outcome.end = Ok(true);
                            return outcome;
                        }
                    }
                    Ok(Decoded::Trailers(map)) => outcome.trailers = Some(map),
                    Ok(Decoded::End) => {
                        outcome.end = Ok(true);
                        return outcome;
                    }
                    Err(_) => {
                        outcome.end = Err(());
                        return outcome;
                    }
                }
            }
        }
        outcome
    }

    #[test]
    fn bodies_that_are_accepted() {
        let long_gap = format!("1{}\r\nx\r\n0\r\n\r\n", " ".repeat(1000));
        for (text, want) in [
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5;name=\"va lue\"\r\nhello\r\n0;last\r\n\r\n", "hello"),
            ("5 ; a\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5  \r\nhello\r\n0\r\n\r\n", "hello"),
            ("000000000000000a\r\n0123456789\r\n0000\r\n\r\n", "0123456789"),
            ("A\r\n0123456789\r\n1\r\n!\r\n0\r\n\r\n", "0123456789!"),
            (&long_gap, "x"),
        ] {
            let got = decode(&[text.as_bytes()]);
            assert_eq!(
                (got.content.as_slice(), got.end),
                (want.as_bytes(), Ok(true)),
                "{text:?}"
            );
        }
    }

    #[test]
    fn bodies_that_are_refused() {
        let long_extension = format!("1;{}\r\nx", "e".repeat(2000));
        let long_trailer = format!("0\r\na: {}\r\n\r\n", "t".repeat(300));
        for text in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "0x5\r\nhello",
            "+5\r\nhello",
            " 5\r\nhello",
            ";a\r\n",
            "5\nhello",
            "5\r\rhello",
            "5 x\r\nhello",
            "5;a\nhello",
            "5;a\0\r\nhello",
            "5\r\nhelloX",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r0\r\n\r\n",
            "10000000000000000\r\n",
            "00000000000000005\r\nhello",
            "0\r\n\n",
            "0\r\na: b\n\r\n",
            "0\r\na : b\r\n\r\n",
            "0\r\na: b\r\n c\r\n\r\n",
            "0\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\n\r\n",
            &long_extension,
            &long_trailer,
        ] {
            assert_eq!(decode(&[text.as_bytes()]).end, Err(()), "{text:?}");
        }
    }

    #[test]
    fn trailers_follow_the_content() {
        let got = decode(&[b"1\r\nx\r\n0\r\nX-Sum: 9\r\nHost: evil\r\n\r\n"]);
        let mut want = HeaderMap::new();
        want.insert("x-sum", HeaderValue::from_static("9"));
        assert_eq!(
            got,
            Outcome {
                content: b"x".to_vec(),
                trailers: Some(want),
                end: Ok(true)
            }
        );
    }

    #[test]
    fn bytes_after_the_end_stay_in_the_buffer() {
        let mut decoder = Decoder::new(256, 4);
        let mut buffer = BytesMut::from(&b"0\r\n\r\nHTTP/1.1"[..]);
        assert!(matches!(decoder.decode(&mut buffer), Ok(Decoded::End)));
        assert_eq!(&buffer[..], b"HTTP/1.1");
    }

    fn encode(chunks: &[Vec<u8>], trailer: bool) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in chunks.iter().filter(|c| !c.is_empty()) {
            out.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(if trailer {
            b"0\r\na: b\r\n\r\n"
        } else {
            b"0\r\n\r\n"
        });
        out
    }

    /// Cuts `bytes` at every one of `cuts` (taken modulo the length).
    fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut at: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect()
    }

    fn likely() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![prop::sample::select(b"01a5\r\n;: \tx".to_vec()), any::<u8>()];
        let token = prop_oneof![
            prop::sample::select(vec![
                "\r\n",
                "0\r\n\r\n",
                "1\r\nx\r\n",
                "3\r\nabc\r\n",
                "a: b\r\n",
                ";e"
            ])
            .prop_map(|t| t.as_bytes().to_vec()),
            prop::collection::vec(byte, 0..4),
        ];
        prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #[test]
        fn encoded_content_comes_back_wherever_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            trailer in any::<bool>(),
            cuts in prop::collection::vec(any::<usize>(), 0..8),
        ) {
            let bytes = encode(&chunks, trailer);
            let got = decode(&cut(&bytes, &cuts));
            prop_assert_eq!(got.end, Ok(true));
            prop_assert_eq!(got.trailers.is_some(), trailer);
            prop_assert_eq!(got.content, chunks.concat());
        }

        #[test]
        fn any_bytes_have_one_outcome_wherever_they_are_cut(
            bytes in likely(),
            cuts in prop::collection::vec(any::<usize>(), 0..8),
        ) {
            prop_assert_eq!(decode(&[&bytes]), decode(&cut(&bytes, &cuts)));
        }
    }
}
