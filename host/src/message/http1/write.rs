//! Fields and numbers as they are written. It refuses to know what they say.

use http::HeaderValue;

/// Appends a field line.
pub(crate) fn push_field(out: &mut Vec<u8>, name: &str, value: &HeaderValue) {
    let (name, value) = (name.as_bytes(), value.as_bytes());
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal digits.
pub(crate) fn push_decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a number in hexadecimal digits, as chunk sizes are written (RFC 9112 section 7.1).
pub(crate) fn push_hex(out: &mut Vec<u8>, number: u64) {
    let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = u32::try_from((number >> (4 * place)) & 0xf).ok();
        let digit = digit.and_then(|digit| char::from_digit(digit, 16));
        out.extend(digit.and_then(|digit| u8::try_from(digit).ok()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 1, 9, 10, 15, 16, 255, 4096, 65_536, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            push_hex(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{number}{number:x}"));
        }
    }
}
