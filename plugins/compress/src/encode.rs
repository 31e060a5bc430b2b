//! Whole bodies into a content coding. Knows encoders, no message. An encoder lives for one body: keeping its tables
//! saves less than 5 % of the time, and nothing of one body is left for the next.

use std::io::{self, Write as _};

use brotli::enc::BrotliEncoderParams;
use structured_zstd::encoding::{CompressionLevel, compress_slice_to_vec};

use crate::coding::Coding;

/// Window of br, as a power of two: larger ones cost memory and time that a body of this size does not give back.
const BR_WINDOW: std::ops::RangeInclusive<u32> = 16..=20;

/// How hard each encoder tries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Levels {
    pub(crate) zstd: u8,
    pub(crate) br: u8,
    pub(crate) gzip: u8,
}

/// The body in this coding.
///
/// # Errors
/// What the encoder says; none is known to.
pub(crate) fn encode(coding: Coding, body: &[u8], levels: &Levels) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Zstd => {
            let level = CompressionLevel::from_level(i32::from(levels.zstd));
            Ok(compress_slice_to_vec(body, level))
        }
        Coding::Br => br(body, levels.br),
        Coding::Gzip => gzip(body, levels.gzip),
    }
}

fn br(body: &[u8], level: u8) -> io::Result<Vec<u8>> {
    let bits = usize::BITS - body.len().leading_zeros();
    let window = bits.clamp(*BR_WINDOW.start(), *BR_WINDOW.end());
    let params = BrotliEncoderParams {
        quality: i32::from(level),
        lgwin: i32::try_from(window).unwrap_or(16),
        size_hint: body.len(),
        ..BrotliEncoderParams::default()
    };
    let mut coded = Vec::with_capacity(body.len() / 4);
    brotli::BrotliCompress(&mut &*body, &mut coded, &params)?;
    Ok(coded)
}

fn gzip(body: &[u8], level: u8) -> io::Result<Vec<u8>> {
    let coded = Vec::with_capacity(body.len() / 4);
    let mut encoder = flate2::write::GzEncoder::new(coded, flate2::Compression::new(u32::from(level)));
    encoder.write_all(body)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    const ALL: [Coding; 3] = [Coding::Zstd, Coding::Br, Coding::Gzip];

    /// By decoders of other makers where there are some.
    fn decode(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        match coding {
            Coding::Zstd => ruzstd::decoding::StreamingDecoder::new(coded)
                .unwrap()
                .read_to_end(&mut body),
            Coding::Br => brotli_decompressor::Decompressor::new(coded, 4096).read_to_end(&mut body),
            Coding::Gzip => flate2::read::GzDecoder::new(coded).read_to_end(&mut body),
        }
        .unwrap();
        body
    }

    /// Bytes that repeat themselves at all distances, as those of documents do.
    fn text(words: &[String], picks: &[usize]) -> Vec<u8> {
        let picked = picks
            .iter()
            .filter_map(|pick| words.get(pick % words.len().max(1)));
        picked.flat_map(|word| word.bytes()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_come_back(body in proptest::collection::vec(any::<u8>(), 0..5_000), level in 1_u8..=9) {
            let levels = Levels { zstd: level, br: level, gzip: level };
            for coding in ALL {
                let coded = encode(coding, &body, &levels).unwrap();
                prop_assert_eq!(decode(coding, &coded), body.as_slice(), "{:?}", coding);
            }
        }

        #[test]
        fn any_text_comes_back(
            words in proptest::collection::vec("[ -~]{1,40}", 1..40),
            picks in proptest::collection::vec(any::<usize>(), 0..4_000),
            level in 1_u8..=9,
        ) {
            let body = text(&words, &picks);
            let levels = Levels { zstd: level, br: level, gzip: level };
            for coding in ALL {
                let coded = encode(coding, &body, &levels).unwrap();
                prop_assert_eq!(decode(coding, &coded), body.as_slice(), "{:?}", coding);
            }
        }
    }

    #[test]
    fn long_bodies_come_back_at_every_level() {
        // Longer than the blocks and, for br, than the window of most.
        let body: Vec<u8> = (0_u32..120_000)
            .flat_map(|n| (n.wrapping_mul(2_654_435_761) >> (n % 13)).to_le_bytes())
            .chain(b"portcullis ".repeat(20_000))
            .collect();
        for level in [0_u8, 1, 2, 4, 5, 9, 11, 19] {
            let levels = Levels {
                zstd: level.clamp(1, 19),
                br: level.min(11),
                gzip: level.clamp(1, 9),
            };
            for coding in ALL {
                let coded = encode(coding, &body, &levels).unwrap();
                assert!(coded.len() < body.len(), "{coding:?} {level}");
                assert!(decode(coding, &coded) == body, "{coding:?} {level}");
            }
        }
    }

    #[test]
    fn a_window_of_zstd_is_one_that_every_client_takes() {
        // RFC 9659: at most 8 MiB. A frame in one segment has its content as its window.
        let body = vec![b'a'; 9 << 20];
        for zstd in [1, 3, 9, 19] {
            let levels = Levels { zstd, br: 0, gzip: 1 };
            let coded = encode(Coding::Zstd, &body, &levels).unwrap();
            let (descriptor, window) = (coded[4], coded[5]);
            assert_eq!(descriptor & 0x20, 0, "not one segment");
            assert!(10 + (window >> 3) <= 23, "level {zstd}: {window:#x}");
        }
    }
}
