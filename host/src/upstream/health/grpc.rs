//! The messages of gRPC's health protocol, written and read by hand. It refuses to know how they are sent.
//!
//! Of `grpc/health/v1/health.proto` (grpc/grpc-proto):
//!
//! ```proto
//! message HealthCheckRequest { string service = 1; }
//! message HealthCheckResponse {
//!   enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
//!   ServingStatus status = 1;
//! }
//! service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }
//! ```
//!
//! Each message has a prefix of five bytes: whether it is compressed, and its length (PROTOCOL-HTTP2.md of grpc/grpc).

use bytes::{BufMut, Bytes, BytesMut};

/// The path of the call.
pub(super) const CHECK: &str = "/grpc.health.v1.Health/Check";
/// Bytes of an answer that are still read.
pub(super) const MAX_ANSWER: usize = 1 << 10;

/// What a server says of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Said {
    Unknown,
    Serving,
    NotServing,
    ServiceUnknown,
}

impl Said {
    /// The word of the protocol.
    pub(in crate::upstream) const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        }
    }
}

/// Asks for a service; the empty name is the server as a whole.
pub(super) fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        // Field 1, delimited by its length.
        message.put_u8(1 << 3 | 2);
        put_varint(&mut message, service.len());
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(&message);
    framed.freeze()
}

/// The answer in these bytes; none when they are not exactly one message of the protocol.
pub(super) fn answer(bytes: &[u8]) -> Option<Said> {
    let (prefix, mut message) = bytes.split_first_chunk::<5>()?;
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 || usize::try_from(u32::from_be_bytes(length)).ok()? != message.len() {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => status = take_varint(&mut message)?,
            // Other fields are passed over, as the format wants.
            (1.., 0) => drop(take_varint(&mut message)?),
            (1.., 1) => message = message.get(8..)?,
            (1.., 2) => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (1.., 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(match status {
        1 => Said::Serving,
        2 => Said::NotServing,
        3 => Said::ServiceUnknown,
        _ => Said::Unknown,
    })
}

/// Seven bits a byte, the lowest first.
fn put_varint(out: &mut BytesMut, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            out.put_u8(low);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for at in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_names_its_service() {
        assert_eq!(&question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&question("a.B")[..], b"\0\0\0\0\x05\x0a\x03a.B");
        let long = question(&"x".repeat(200));
        assert_eq!(&long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }

    #[test]
    fn an_answer_is_one_message_and_the_last_status_in_it_counts() {
        for (bytes, want) in [
            (&[0, 0, 0, 0, 2, 8, 1][..], Some(Said::Serving)),
            (&[0, 0, 0, 0, 2, 8, 2], Some(Said::NotServing)),
            (&[0, 0, 0, 0, 2, 8, 3], Some(Said::ServiceUnknown)),
            (&[0, 0, 0, 0, 2, 8, 9], Some(Said::Unknown)),
            (&[0, 0, 0, 0, 0], Some(Said::Unknown)),
            (&[0, 0, 0, 0, 4, 8, 2, 8, 1], Some(Said::Serving)),
            (
                &[0, 0, 0, 0, 10, 0x12, 1, 7, 0x1d, 0, 0, 0, 0, 8, 1],
                Some(Said::Serving),
            ),
            (&[1, 0, 0, 0, 2, 8, 1], None),
            (&[0, 0, 0, 0, 3, 8, 1], None),
            (&[0, 0, 0, 0, 2, 8, 1, 0], None),
            (&[0, 0, 0, 0, 2, 8, 0x80], None),
            (&[0, 0, 0, 0, 2, 0x0b, 1], None),
            (&[0, 0, 0], None),
            (&[], None),
        ] {
            assert_eq!(answer(bytes), want, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, message: Vec<u8>) {
            answer(&bytes);
            let mut framed = vec![0];
            framed.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
            framed.extend_from_slice(&message);
            answer(&framed);
        }
    }
}
