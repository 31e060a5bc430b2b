//! Decoding of real data, bombs and damaged data.

use super::*;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::HeaderValue;
use proptest::prelude::*;
use std::io::Write;

/// 16 MiB of zeros by the reference encoder.
const BR_BOMB: &str = "9ffffffff82700e2b14020f7fe1f";

/// [`text`] by the reference encoder with a window of 1 GiB.
const BR_LARGE_WINDOW: &str = "115e6c03e017b7b175dddf25084a550c180168d1ccf16d2d00";

const LIMITS: Limits = Limits {
    max_output: 1024 * 1024,
    max_ratio: 100,
};

fn text() -> String {
    "portcullis ".repeat(20)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// [`text`] by the reference encoder.
fn reference_brotli() -> Vec<u8> {
    hex("1bdb00f8c56d6c5df777098252150346002d9a39bead05")
}

/// [`text`] by the reference encoder, with a checksum.
fn reference_zstd() -> Vec<u8> {
    hex("28b52ffd24dc95000058706f727463756c6c69732001004e53c50b9bcfd519")
}

fn decode(codings: &str, body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    decode_within(codings, body, &LIMITS)
}

fn decode_within(codings: &str, body: &[u8], limits: &Limits) -> Result<Vec<u8>, DecodeError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, codings.parse().unwrap());
    Codings::of(&headers)?
        .decode(&Bytes::copy_from_slice(body), limits)
        .map(Into::into)
}

#[test]
fn every_coding_is_undone() {
    for (coding, body) in [
        ("gzip", gzip(text().as_bytes())),
        ("X-GZIP", gzip(text().as_bytes())),
        ("deflate", zlib(text().as_bytes())),
        ("deflate", raw(text().as_bytes())),
        ("br", reference_brotli()),
        ("zstd", reference_zstd()),
        ("zstd", zstd(text().as_bytes())),
        ("identity", text().into_bytes()),
        ("", text().into_bytes()),
    ] {
        assert_eq!(
            decode(coding, &body).as_deref(),
            Ok(text().as_bytes()),
            "{coding}"
        );
    }
}

#[test]
fn codings_are_undone_last_first() {
    assert_eq!(
        decode("deflate, gzip", &gzip(&zlib(text().as_bytes()))).as_deref(),
        Ok(text().as_bytes())
    );
    assert!(decode("gzip, deflate", &gzip(&zlib(text().as_bytes()))).is_err());

    let mut headers = HeaderMap::new();
    headers.append(CONTENT_ENCODING, HeaderValue::from_static("deflate"));
    headers.append(CONTENT_ENCODING, HeaderValue::from_static("identity, br"));
    assert_eq!(
        Codings::of(&headers),
        Ok(Codings([Some(Coding::Deflate), Some(Coding::Brotli)]))
    );
}

#[test]
fn unknown_and_too_many_codings_are_told_apart() {
    assert_eq!(
        decode("gzip, compress", b""),
        Err(DecodeError::Unknown("compress".into()))
    );
    assert_eq!(
        decode("\"gzip\"", b""),
        Err(DecodeError::Unknown("\"gzip\"".into()))
    );
    assert_eq!(
        decode("gzip gzip", b""),
        Err(DecodeError::Unknown("gzip gzip".into()))
    );
    assert_eq!(
        decode(&"x".repeat(99), b""),
        Err(DecodeError::Unknown("x".repeat(32)))
    );
    assert_eq!(decode("gzip, gzip, gzip", b""), Err(DecodeError::TooMany));
}

#[test]
fn an_empty_body_stays_empty() {
    for coding in ["gzip", "deflate", "br", "zstd"] {
        assert_eq!(decode(coding, b"").as_deref(), Ok(&b""[..]), "{coding}");
    }
}

#[test]
fn a_body_without_codings_is_handed_back() {
    let body = Bytes::from(text());
    let same = Codings::default()
        .decode(
            &body,
            &Limits {
                max_output: 0,
                max_ratio: 0,
            },
        )
        .unwrap();
    assert_eq!(same.as_ptr(), body.as_ptr());
}

#[test]
fn parts_are_joined() {
    let two = [gzip(b"one "), gzip(b"two")].concat();
    assert_eq!(decode("gzip", &two).as_deref(), Ok(&b"one two"[..]));
    let skippable = [0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
    let frames = [&zstd(b"one ")[..], &skippable, &zstd(b"two")].concat();
    assert_eq!(decode("zstd", &frames).as_deref(), Ok(&b"one two"[..]));
}

#[test]
fn endless_parts_are_corrupt() {
    let member = gzip(b"");
    assert_eq!(
        decode("gzip", &member.repeat(2000)),
        Err(DecodeError::Corrupt(Coding::Gzip))
    );
    assert_eq!(
        decode("zstd", &[0x53, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(2000)),
        Err(DecodeError::Corrupt(Coding::Zstd))
    );
}

#[test]
fn a_bomb_stops_at_the_cap() {
    let zeros = vec![0; 16 * 1024 * 1024];
    let wide = Limits {
        max_output: 1024 * 1024,
        max_ratio: usize::MAX,
    };
    for (coding, bomb) in [
        ("gzip", gzip(&zeros)),
        ("deflate", zlib(&zeros)),
        ("deflate", raw(&zeros)),
        ("br", hex(BR_BOMB)),
        ("zstd", zstd(&zeros)),
        ("gzip, gzip", gzip(&gzip(&zeros))),
        ("br, gzip", gzip(&hex(BR_BOMB))),
    ] {
        assert_eq!(
            decode_within(coding, &bomb, &wide),
            Err(DecodeError::TooLarge { max: 1024 * 1024 }),
            "{coding}"
        );
    }
}

#[test]
fn the_ratio_holds_beyond_its_floor() {
    let body = gzip(&vec![0; RATIO_FLOOR]);
    assert_eq!(decode("gzip", &body).map(|out| out.len()), Ok(RATIO_FLOOR));
    let body = gzip(&vec![0; RATIO_FLOOR + 1]);
    assert_eq!(
        decode("gzip", &body),
        Err(DecodeError::TooLarge { max: RATIO_FLOOR })
    );
    let loose = Limits {
        max_ratio: 1000,
        ..LIMITS
    };
    assert_eq!(
        decode_within("gzip", &body, &loose).map(|out| out.len()),
        Ok(RATIO_FLOOR + 1)
    );
}

#[test]
fn the_cap_is_inclusive() {
    for (coding, body) in [
        ("gzip", gzip(text().as_bytes())),
        ("deflate", zlib(text().as_bytes())),
        ("br", reference_brotli()),
        ("zstd", reference_zstd()),
    ] {
        let exact = Limits {
            max_output: text().len(),
            max_ratio: 100,
        };
        assert!(decode_within(coding, &body, &exact).is_ok(), "{coding}");
        let less = Limits {
            max_output: text().len() - 1,
            max_ratio: 100,
        };
        assert_eq!(
            decode_within(coding, &body, &less),
            Err(DecodeError::TooLarge {
                max: text().len() - 1
            }),
            "{coding}"
        );
    }
}

#[test]
fn cut_or_extended_bodies_are_corrupt() {
    for (coding, name, body) in [
        (Coding::Gzip, "gzip", gzip(text().as_bytes())),
        (Coding::Deflate, "deflate", zlib(text().as_bytes())),
        (Coding::Deflate, "deflate", raw(text().as_bytes())),
        (Coding::Brotli, "br", reference_brotli()),
        (Coding::Zstd, "zstd", reference_zstd()),
    ] {
        for length in 1..body.len() {
            assert_eq!(
                decode(name, &body[..length]),
                Err(DecodeError::Corrupt(coding)),
                "{name} cut at {length}"
            );
        }
        let extended = [&body[..], b"tail"].concat();
        assert_eq!(
            decode(name, &extended),
            Err(DecodeError::Corrupt(coding)),
            "{name} extended"
        );
    }
}

#[test]
fn a_wrong_checksum_is_corrupt() {
    let mut body = gzip(text().as_bytes());
    let at = body.len() - 6;
    body[at] ^= 1;
    assert_eq!(decode("gzip", &body), Err(DecodeError::Corrupt(Coding::Gzip)));
}

#[test]
fn windows_that_cost_too_much_memory_are_refused() {
    assert_eq!(
        decode("br", &hex(BR_LARGE_WINDOW)),
        Err(DecodeError::Corrupt(Coding::Brotli))
    );
    // A frame with a window of 128 MiB, and one with a single segment of 4 GiB.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00];
    assert_eq!(decode("zstd", &frame), Err(DecodeError::Corrupt(Coding::Zstd)));
    let frame = [
        0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00, 0x00,
    ];
    assert_eq!(decode("zstd", &frame), Err(DecodeError::Corrupt(Coding::Zstd)));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for coding in ["gzip", "deflate", "br", "zstd", "zstd, br"] {
            decode(coding, &body).ok();
        }
        decode("zstd", &[&[0x28, 0xb5, 0x2f, 0xfd][..], &body].concat()).ok();
    }

    #[test]
    fn damaged_bodies_are_survived(at in 0_usize..1000, value in any::<u8>(), data in "[a-e ]{0,2000}") {
        for (name, mut body) in [
            ("gzip", gzip(data.as_bytes())),
            ("deflate", zlib(data.as_bytes())),
            ("br", reference_brotli()),
            ("zstd", reference_zstd()),
            ("zstd", zstd(data.as_bytes())),
        ] {
            let at = at % body.len();
            body[at] = value;
            decode(name, &body).ok();
        }
    }

    #[test]
    fn what_was_encoded_comes_back(data in prop::collection::vec(0_u8..4, 0..3000)) {
        for (name, body) in [("gzip", gzip(&data)), ("deflate", zlib(&data)), ("deflate", raw(&data)), ("zstd", zstd(&data))] {
            prop_assert_eq!(decode(name, &body), Ok(data.clone()));
        }
    }
}
