//! Field values as text: each byte is one code point U+0000 to U+00FF (isomorphic encoding of the Fetch
//! standard), so that every value survives the trip and ASCII stays what it is.

use std::net::IpAddr;

use bytes::Bytes;

/// Bytes to text.
#[must_use]
pub fn to_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.to_owned(),
        _ => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// Text to bytes; none if a character is above U+00FF.
#[must_use]
pub fn from_text(text: &str) -> Option<Bytes> {
    if text.is_ascii() {
        return Some(Bytes::copy_from_slice(text.as_bytes()));
    }
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect::<Option<Vec<u8>>>()
        .map(Bytes::from)
}

/// An address as text. Clients with IPv4 addresses are many: theirs are written without the formatting machinery.
#[must_use]
pub fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity(15);
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        if octet >= 100 {
            text.push(digit(octet / 100));
        }
        if octet >= 10 {
            text.push(digit(octet / 10 % 10));
        }
        text.push(digit(octet % 10));
    }
    text
}

fn digit(number: u8) -> char {
    char::from(b'0' + number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_byte_survives_the_trip(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            prop_assert_eq!(from_text(&to_text(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for octet in 0..=u8::MAX {
            let address = IpAddr::from([octet, 255 - octet, octet / 3, octet / 11]);
            assert_eq!(address_text(address), address.to_string());
        }
        assert_eq!(address_text("2001:db8::1".parse().unwrap()), "2001:db8::1");
    }

    #[test]
    fn characters_above_a_byte_are_refused() {
        assert_eq!(from_text("€"), None);
        assert_eq!(from_text("é").as_deref(), Some(&[0xe9][..]));
    }
}
