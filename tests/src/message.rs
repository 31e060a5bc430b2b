//! HTTP/1.1 messages read strictly (RFC 9112): what a peer must not send is a [`Fault`], so that a gateway that
//! sends it fails the test. For either direction; knows neither methods nor statuses beyond their framing.

use tokio::io::AsyncRead;

use crate::wire::{self, Fault, Wire};

/// Most fields of a head or of trailers.
const MAX_FIELDS: usize = 10_000;

/// Start line and fields, as they came. Values hold one character per byte (U+0000 to U+00FF).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The request line or status line.
    pub start: String,
    /// Names as they were written.
    pub fields: Fields,
}

/// Fields in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The first value of `name`, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every value of `name`, in any case.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The first value of `name` as the bytes that came.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.get(name).map(wire::bytes)
    }

    /// Whether a list-valued field holds `member` (in any case), as `connection: close` does.
    #[must_use]
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.all(name)
            .iter()
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(member))
    }

    /// How the body of a message with these fields is delimited; `none` is for one that has neither
    /// `Content-Length` nor `Transfer-Encoding` (RFC 9112, section 6.3).
    ///
    /// # Errors
    /// Both at once, several lengths, a length that is no number, a coding other than `chunked`.
    pub fn framing(&self, none: Framing) -> Result<Framing, Fault> {
        match (
            self.all("transfer-encoding").as_slice(),
            self.all("content-length").as_slice(),
        ) {
            ([], []) => Ok(none),
            (["chunked"], []) => Ok(Framing::Chunked),
            ([], [length]) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Framing::Length(
                    length
                        .parse()
                        .map_err(|_| Fault::malformed("content-length too large"))?,
                ))
            }
            (codings, lengths) => Err(Fault::malformed(format!(
                "transfer-encoding {codings:?} and content-length {lengths:?}"
            ))),
        }
    }
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By its length in bytes.
    Length(u64),
    /// By chunks; trailers may follow.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// The next head; none at the end of the connection.
///
/// # Errors
/// Anything but a start line and fields `name: value` with a token for a name and visible values.
pub async fn read_head<R: AsyncRead + Unpin>(wire: &mut Wire<R>) -> Result<Option<Head>, Fault> {
    let Some(start) = wire.line().await? else {
        return Ok(None);
    };
    let fields = read_fields(wire, "head").await?;
    Ok(Some(Head { start, fields }))
}

async fn read_fields<R: AsyncRead + Unpin>(wire: &mut Wire<R>, part: &'static str) -> Result<Fields, Fault> {
    let mut fields = Vec::new();
    loop {
        let line = wire.line().await?.ok_or(Fault::Truncated(part))?;
        if line.is_empty() {
            return Ok(Fields(fields));
        }
        let bad = || Fault::malformed(format!("bad field {line:?}"));
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        let value = value.trim_matches([' ', '\t']);
        if name.is_empty()
            || !name.bytes().all(is_token)
            || value.chars().any(|c| c != '\t' && c < ' ' || c == '\x7f')
        {
            return Err(bad());
        }
        if fields.len() == MAX_FIELDS {
            return Err(Fault::malformed("too many fields"));
        }
        fields.push((name.to_owned(), value.to_owned()));
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A body being read, piece by piece.
#[derive(Debug)]
pub struct BodyReader {
    state: State,
    trailers: Fields,
}

#[derive(Debug)]
enum State {
    Left(u64),
    ToEnd,
    ChunkSize,
    ChunkLeft(u64),
    Done,
}

impl BodyReader {
    /// A body that begins with the next byte.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(length) => State::Left(length),
            Framing::Chunked => State::ChunkSize,
            Framing::Close => State::ToEnd,
        };
        Self {
            state,
            trailers: Fields::default(),
        }
    }

    /// The next bytes; none when the body has ended as its framing says.
    ///
    /// # Errors
    /// A body cut off, a bad chunk, and those of [`Wire`].
    pub async fn next<R: AsyncRead + Unpin>(&mut self, wire: &mut Wire<R>) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            match &mut self.state {
                State::Left(0) => self.state = State::Done,
                State::Left(left) => {
                    let piece = wire.some(*left).await?.ok_or(Fault::Truncated("body"))?;
                    *left -= piece.len() as u64;
                    return Ok(Some(piece));
                }
                State::ToEnd => match wire.some(u64::MAX).await? {
                    Some(piece) => return Ok(Some(piece)),
                    None => self.state = State::Done,
                },
                State::ChunkSize => {
                    let line = wire.line().await?.ok_or(Fault::Truncated("body"))?;
                    match chunk_size(&line)? {
                        0 => {
                            self.trailers = read_fields(wire, "trailers").await?;
                            self.state = State::Done;
                        }
                        size => self.state = State::ChunkLeft(size),
                    }
                }
                State::ChunkLeft(0) => {
                    if !wire.line().await?.ok_or(Fault::Truncated("body"))?.is_empty() {
                        return Err(Fault::malformed("a chunk longer than its size"));
                    }
                    self.state = State::ChunkSize;
                }
                State::ChunkLeft(left) => {
                    let piece = wire.some(*left).await?.ok_or(Fault::Truncated("body"))?;
                    *left -= piece.len() as u64;
                    return Ok(Some(piece));
                }
                State::Done => return Ok(None),
            }
        }
    }

    /// The fields after a chunked body, once it has ended.
    #[must_use]
    pub fn into_trailers(self) -> Fields {
        self.trailers
    }
}

/// Hexadecimal digits, then perhaps extensions, which nobody here sends on purpose.
fn chunk_size(line: &str) -> Result<u64, Fault> {
    let digits = line.split_once(';').map_or(line, |(digits, _)| digits.trim_end());
    let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
        .ok_or_else(|| Fault::malformed(format!("bad chunk size {line:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(framing: Framing, bytes: &[u8]) -> Result<(Vec<u8>, Fields), Fault> {
        let (mut wire, mut reader, mut whole) = (Wire::new(bytes), BodyReader::new(framing), Vec::new());
        while let Some(piece) = reader.next(&mut wire).await? {
            whole.extend(piece);
        }
        Ok((whole, reader.into_trailers()))
    }

    #[tokio::test]
    async fn heads_are_read_as_they_came() {
        let mut wire = Wire::new(&b"GET / HTTP/1.1\r\nX-A:  b c \r\nx-a: \xe9\r\n\r\nrest"[..]);
        let head = read_head(&mut wire).await.unwrap().unwrap();
        assert_eq!(head.start, "GET / HTTP/1.1");
        assert_eq!(head.fields.all("x-a"), ["b c", "\u{e9}"]);
        assert_eq!(head.fields.bytes("X-a").unwrap(), b"b c");
        assert_eq!(wire.ahead(), b"rest");
    }

    #[tokio::test]
    async fn heads_that_nobody_may_send_are_refused() {
        for text in [
            "a: b\r\n c\r\n\r\n",
            "a : b\r\n\r\n",
            ": b\r\n\r\n",
            "a\r\n\r\n",
            "a: \u{1}\r\n\r\n",
            "a: b\n\r\n",
        ] {
            let all = format!("GET / HTTP/1.1\r\n{text}");
            assert!(
                matches!(
                    read_head(&mut Wire::new(all.as_bytes())).await,
                    Err(Fault::Malformed(_))
                ),
                "{text:?}"
            );
        }
        assert!(matches!(
            read_head(&mut Wire::new(&b"GET /\r\na: b\r\n"[..])).await,
            Err(Fault::Truncated("head"))
        ));
    }

    #[tokio::test]
    async fn framing_is_one_or_the_other() {
        let fields =
            |pairs: &[(&str, &str)]| Fields(pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect());
        let framing = |pairs: &[(&str, &str)]| fields(pairs).framing(Framing::Close);
        assert_eq!(framing(&[]).unwrap(), Framing::Close);
        assert_eq!(framing(&[("Content-Length", "7")]).unwrap(), Framing::Length(7));
        assert_eq!(
            framing(&[("transfer-encoding", "chunked")]).unwrap(),
            Framing::Chunked
        );
        for bad in [
            &[("content-length", "7"), ("transfer-encoding", "chunked")][..],
            &[("content-length", "7"), ("content-length", "7")],
            &[("content-length", "+7")],
            &[("transfer-encoding", "gzip, chunked")],
        ] {
            assert!(framing(bad).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn bodies_end_as_their_framing_says() {
        assert_eq!(body(Framing::Length(3), b"abcd").await.unwrap().0, b"abc");
        assert_eq!(body(Framing::Close, b"abcd").await.unwrap().0, b"abcd");
        let (bytes, trailers) = body(
            Framing::Chunked,
            b"3\r\nabc\r\n0A;x\r\n0123456789\r\n0\r\nx-t: 1\r\n\r\n",
        )
        .await
        .unwrap();
        assert_eq!(bytes, b"abc0123456789");
        assert_eq!(trailers.get("x-t"), Some("1"));
    }

    #[tokio::test]
    async fn bodies_cut_off_or_broken_are_faults() {
        assert!(matches!(
            body(Framing::Length(5), b"abcd").await,
            Err(Fault::Truncated("body"))
        ));
        assert!(matches!(
            body(Framing::Chunked, b"5\r\nabcd").await,
            Err(Fault::Truncated("body"))
        ));
        assert!(matches!(
            body(Framing::Chunked, b"4\r\nabcd\r\n0\r\n").await,
            Err(Fault::Truncated("trailers"))
        ));
        for bad in [
            &b"x\r\n"[..],
            b"\r\n",
            b"3\r\nabcd\r\n",
            b"-1\r\n",
            b"11111111111111111\r\n",
        ] {
            assert!(
                matches!(body(Framing::Chunked, bad).await, Err(Fault::Malformed(_))),
                "{bad:?}"
            );
        }
    }
}
