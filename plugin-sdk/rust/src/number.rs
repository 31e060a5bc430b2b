//! Whole numbers as text, without the machinery of formatting. Knows no field.

/// Appends `number` in decimal digits.
pub fn push(text: &mut String, number: u64) {
    text.push_str(itoa::Buffer::new().format(number));
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
