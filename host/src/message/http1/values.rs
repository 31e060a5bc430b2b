//! Values of the fields that frame a message. It refuses to know what follows from them.

/// A number of digits only, that fits 64 bits, as the value of Content-Length is (RFC 9112 section 6.2).
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The members of a list (RFC 9110 section 5.6.1), empty ones among them.
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}
