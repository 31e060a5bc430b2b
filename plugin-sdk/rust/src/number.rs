//! Whole numbers as text, without the machinery of formatting. Knows no field.

/// Digits of the largest number.
const MAX_DIGITS: usize = 20;

/// Appends `number` in decimal digits.
pub fn push(text: &mut String, mut number: u64) {
    let mut digits = [b'0'; MAX_DIGITS];
    let mut count = 0;
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        count += 1;
        if number == 0 {
            break;
        }
    }
    let (_, digits) = digits.split_at_checked(MAX_DIGITS - count).unwrap_or_default();
    text.push_str(str::from_utf8(digits).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 1, 9, 10, 99, 100, 1_234_567_890, u64::MAX] {
            let mut text = "n=".to_owned();
            push(&mut text, number);
            assert_eq!(text, format!("n={number}"));
        }
    }
}
