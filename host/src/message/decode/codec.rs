//! One layer of one coding undone, in pieces, so that a bomb stops at the cap.
//!
//! Refuses to know fields and ratios.

use std::io::Read;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::StreamingDecoder;

use super::{Coding, DecodeError};

/// Output grows by at least this much at a time, in bytes.
const PIECE: usize = 16 * 1024;

/// At most so many gzip members or zstd frames in one body: each costs a fresh decoder, whatever its length.
const MAX_PARTS: usize = 1024;

/// RFC 9659 section 3, in bytes.
const MAX_ZSTD_WINDOW: u64 = 8 * 1024 * 1024;

/// The decoded form of `input`, of at most `max` bytes. All of the input must belong to it: bytes behind the
/// end would be seen by one decoder and not by another.
///
/// # Errors
/// [`DecodeError::TooLarge`] and [`DecodeError::Corrupt`].
pub(super) fn decode(coding: Coding, input: &[u8], max: usize) -> Result<Vec<u8>, DecodeError> {
    let decoded = match coding {
        Coding::Gzip => gzip(input, max),
        Coding::Deflate => deflate(input, max),
        Coding::Brotli => brotli(input, max),
        Coding::Zstd => zstd(input, max),
    };
    decoded.map_err(|stop| match stop {
        Stop::TooLarge => DecodeError::TooLarge { max },
        Stop::Corrupt => DecodeError::Corrupt(coding),
    })
}

enum Stop {
    TooLarge,
    Corrupt,
}

fn gzip(mut input: &[u8], max: usize) -> Result<Vec<u8>, Stop> {
    let mut out = Vec::new();
    for _ in 0..MAX_PARTS {
        let mut member = GzDecoder::new(input);
        read_to_cap(&mut member, &mut out, max)?;
        input = member.into_inner();
        if input.is_empty() {
            return Ok(out);
        }
    }
    Err(Stop::Corrupt)
}

fn deflate(input: &[u8], max: usize) -> Result<Vec<u8>, Stop> {
    let mut state = Decompress::new(is_zlib(input));
    let mut out = Vec::new();
    loop {
        let (before_in, before_out) = (state.total_in(), out.len());
        out.reserve(PIECE);
        let rest = usize::try_from(before_in)
            .ok()
            .and_then(|at| input.get(at..))
            .ok_or(Stop::Corrupt)?;
        let status = state
            .decompress_vec(rest, &mut out, FlushDecompress::None)
            .map_err(|_| Stop::Corrupt)?;
        if out.len() > max {
            return Err(Stop::TooLarge);
        }
        if status == Status::StreamEnd {
            let used = usize::try_from(state.total_in()).ok();
            return if used == Some(input.len()) {
                Ok(out)
            } else {
                Err(Stop::Corrupt)
            };
        }
        if state.total_in() == before_in && out.len() == before_out {
            return Err(Stop::Corrupt);
        }
    }
}

/// RFC 1950 section 2.2: method 8, window within 32 KiB, and the check bits. A raw stream that begins like this
/// would have to hold a stored block with odd bits; senders that mean raw do not.
fn is_zlib(input: &[u8]) -> bool {
    match input {
        [method, flags, ..] => {
            method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([*method, *flags]) % 31 == 0
        }
        _ => false,
    }
}

fn brotli(input: &[u8], max: usize) -> Result<Vec<u8>, Stop> {
    // Strict: without the large-window extension, whose window may be a gigabyte.
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut left, mut at, mut filled, mut total) = (input.len(), 0, 0, 0);
    let mut out = Vec::new();
    loop {
        if filled > max {
            return Err(Stop::TooLarge);
        }
        if filled == out.len() {
            out.resize(grown(out.len(), max), 0);
        }
        let mut room = out.len() - filled;
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            input,
            &mut room,
            &mut filled,
            &mut out,
            &mut total,
            &mut state,
        );
        match result {
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultSuccess if filled > max => return Err(Stop::TooLarge),
            BrotliResult::ResultSuccess if left == 0 => {
                out.truncate(filled);
                return Ok(out);
            }
            _ => return Err(Stop::Corrupt),
        }
    }
}

/// Twice the length, but no more than one byte above the cap.
fn grown(len: usize, max: usize) -> usize {
    len.saturating_mul(2).max(PIECE).min(max.saturating_add(1))
}

fn zstd(mut input: &[u8], max: usize) -> Result<Vec<u8>, Stop> {
    let mut out = Vec::new();
    for _ in 0..MAX_PARTS {
        match zstd_part(input).ok_or(Stop::Corrupt)? {
            Part::Skippable(rest) => input = rest,
            Part::Frame { window } if window <= MAX_ZSTD_WINDOW => {
                let mut frame = StreamingDecoder::new(&mut input).map_err(|_| Stop::Corrupt)?;
                read_to_cap(&mut frame, &mut out, max)?;
            }
            Part::Frame { .. } => return Err(Stop::Corrupt),
        }
        if input.is_empty() {
            return Ok(out);
        }
    }
    Err(Stop::Corrupt)
}

/// What comes next in a zstd body.
enum Part<'a> {
    /// A frame that a decoder passes over (RFC 8878 section 3.1.2), and what follows it.
    Skippable(&'a [u8]),
    /// A frame that asks for this much memory, in bytes. The decoder allocates it as soon as it has read the
    /// header, so it is looked at first.
    Frame { window: u64 },
}

/// RFC 8878 section 3.1.1.1.
fn zstd_part(input: &[u8]) -> Option<Part<'_>> {
    let (magic, rest) = input.split_first_chunk::<4>()?;
    let magic = u32::from_le_bytes(*magic);
    if magic & 0xffff_fff0 == 0x184d_2a50 {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        return rest.get(length..).map(Part::Skippable);
    }
    let (&descriptor, rest) = rest.split_first()?;
    let single_segment = descriptor & 0x20 != 0;
    if !single_segment {
        let window = *rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(Part::Frame {
            window: base + (base >> 3) * u64::from(window & 7),
        });
    }
    let dictionary = match descriptor & 3 {
        3 => 4,
        length => usize::from(length),
    };
    let length = 1_usize << (descriptor >> 6);
    let size = rest.get(dictionary..)?.get(..length)?;
    let size = size
        .iter()
        .rev()
        .fold(0_u64, |size, &byte| size << 8 | u64::from(byte));
    Some(Part::Frame {
        window: if length == 2 { size + 256 } else { size },
    })
}

/// Appends what `reader` gives. An error of the reader is one of its input, which is in memory.
fn read_to_cap(reader: &mut impl Read, out: &mut Vec<u8>, max: usize) -> Result<(), Stop> {
    let room = u64::try_from(max.saturating_add(1).saturating_sub(out.len())).unwrap_or(u64::MAX);
    reader.take(room).read_to_end(out).map_err(|_| Stop::Corrupt)?;
    if out.len() > max {
        Err(Stop::TooLarge)
    } else {
        Ok(())
    }
}
