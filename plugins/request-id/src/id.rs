//! Ids as text: the forms that are made and the form that is accepted. Knows no request and takes no random numbers.

/// Longest id that is accepted, in bytes: a UUID has 36, a W3C `traceparent` 55.
const MAX: usize = 128;

/// Whether a text from outside is an id: 1 to 128 letters, digits and `-._~:+/=@`. Nothing in it can end a header, a
/// quoted string, a member of a list or a word of a log line.
pub(crate) fn is_valid(id: &str) -> bool {
    (1..=MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:+/=@".contains(&byte))
}

/// The gateway's own number of the exchange, as its error documents and its log write it.
pub(crate) fn gateway(number: u64) -> String {
    format!("{number:016x}")
}

/// A UUID of version 4: 122 random bits (RFC 9562 section 5.4).
pub(crate) fn uuid_v4(random: u128) -> String {
    uuid(random, 4)
}

/// A UUID of version 7: milliseconds since 1970 in 48 bits, then 74 random ones (RFC 9562 section 5.7).
pub(crate) fn uuid_v7(unix_ms: u64, random: u128) -> String {
    uuid(u128::from(unix_ms) << 80 | random & ((1 << 80) - 1), 7)
}

/// The text of a UUID, with version and variant in their places (RFC 9562 sections 4.1 and 4.2).
fn uuid(bits: u128, version: u128) -> String {
    let bits = bits & !(0xf << 76) | version << 76;
    let bits = bits & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 64 & 0xffff,
        bits >> 48 & 0xffff,
        bits & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_number_has_sixteen_digits() {
        assert_eq!(gateway(0xab), "00000000000000ab");
        assert_eq!(gateway(u64::MAX), "ffffffffffffffff");
    }

    #[test]
    fn a_uuid_says_its_version_and_variant() {
        assert_eq!(uuid_v4(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid_v4(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid_v7(0, u128::MAX), "00000000-0000-7fff-bfff-ffffffffffff");
    }

    #[test]
    fn a_time_based_uuid_is_that_of_the_standard() {
        // RFC 9562, appendix A.6.
        let random = 0x0cc3 << 64 | 0x18c4_dc0c_0c07_398f;
        assert_eq!(
            uuid_v7(0x017f_22e2_79b0, random),
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
        );
    }

    #[test]
    fn time_based_uuids_sort_by_time() {
        let early = uuid_v7(1_735_689_600_000, u128::MAX);
        let late = uuid_v7(1_735_689_600_001, 0);
        assert!(early < late, "{early} {late}");
    }

    #[test]
    fn a_valid_id_is_short_and_of_plain_characters() {
        for good in [
            "a",
            "0123456789abcdef",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
            "Root=1-67891233:a/b+c=~_.@",
        ] {
            assert!(is_valid(good), "{good:?}");
        }
        assert!(is_valid(&"a".repeat(128)));
        for bad in [
            "", "a b", "a,b", "a;b", "a\"b", "a\\b", "a\r\nb", "\u{e9}", "{a}", "%41", "\t",
        ] {
            assert!(!is_valid(bad), "{bad:?}");
        }
        assert!(!is_valid(&"a".repeat(129)));
    }
}
