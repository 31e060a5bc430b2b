//! Whole numbers as text, in both directions. Knows no field.

pub(crate) use portcullis::number::push;

/// `number` in decimal digits.
pub(crate) fn text(number: u64) -> String {
    let mut text = String::new();
    push(&mut text, number);
    text
}

/// The number above 0 that a text of decimal digits is; too large a one is the largest.
pub(crate) fn parse(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX)).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 1, 9, 10, 99, 100, 1_234_567_890, u64::MAX] {
            assert_eq!(text(number), number.to_string());
        }
    }

    #[test]
    fn only_whole_numbers_above_zero_are_read() {
        assert_eq!(parse("7"), Some(7));
        assert_eq!(parse("007"), Some(7));
        assert_eq!(parse("99999999999999999999"), Some(u64::MAX));
        for bad in ["", "0", "000", "-1", "+1", "1.5", " 1", "1e3", "x"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
