//! The few parts of a certificate (RFC 5280 section 4.1) that the verifier does not hand out: when it is valid, and
//! its subject as text. It refuses to judge anything; what it cannot read it has not.

/// Seconds of a day.
const DAY: i64 = 86_400;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT`, the version.
const VERSION: u8 = 0xa0;

/// Attribute types with a short name of their own (RFC 4514 section 3, and the usual ones beside them).
const NAMES: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

/// From when to when a certificate is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The validity of a certificate.
pub(super) fn validity(certificate: &[u8]) -> Option<Validity> {
    let (validity, _) = take(behind_issuer(certificate)?, SEQUENCE)?;
    let (from, rest) = time(validity)?;
    let (to, _) = time(rest)?;
    Some(Validity { from, to })
}

/// The subject of a certificate in the form of RFC 4514: the last part first, as in `CN=a,O=b`.
pub(super) fn subject(certificate: &[u8]) -> Option<String> {
    let (_, rest) = take(behind_issuer(certificate)?, SEQUENCE)?;
    let (mut names, _) = take(rest, SEQUENCE)?;
    let mut parts = Vec::new();
    while !names.is_empty() {
        let (mut set, rest) = take(names, SET)?;
        names = rest;
        let mut pairs = Vec::new();
        while !set.is_empty() {
            let (pair, rest) = take(set, SEQUENCE)?;
            set = rest;
            let (oid, value) = take(pair, OID)?;
            let (_, text, _) = element(value)?;
            pairs.push(format!(
                "{}={}",
                name(oid),
                escaped(&String::from_utf8_lossy(text))
            ));
        }
        parts.push(pairs.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

/// What follows the issuer: validity, subject, and so on.
fn behind_issuer(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = take(certificate, SEQUENCE)?;
    let (mut rest, _) = take(certificate, SEQUENCE)?;
    let (tag, _, behind) = element(rest)?;
    if tag == VERSION {
        rest = behind;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        (_, _, rest) = element(rest)?;
    }
    Some(rest)
}

/// The first element's tag and content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits
                .iter()
                .fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of the first element, which has this tag, and what follows it.
fn take(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// A time (RFC 5280 section 4.1.2.5): always in UTC, to the second.
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, text, rest) = element(bytes)?;
    let text = text.strip_suffix(b"Z")?;
    let (year, text) = match tag {
        UTC_TIME => {
            let (year, text) = number(text, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text)
        }
        GENERALIZED_TIME => number(text, 4)?,
        _ => return None,
    };
    let (month, text) = number(text, 2)?;
    let (day, text) = number(text, 2)?;
    let (hour, text) = number(text, 2)?;
    let (minute, text) = number(text, 2)?;
    let (second, text) = number(text, 2)?;
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !text.is_empty() || !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
    Some((seconds, rest))
}

fn number(text: &[u8], digits: usize) -> Option<(i64, &[u8])> {
    let (digits, rest) = text.split_at_checked(digits)?;
    let value = digits.iter().try_fold(0_i64, |sum, digit| {
        Some(sum * 10 + i64::from(char::from(*digit).to_digit(10)?))
    })?;
    Some((value, rest))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The short name of an attribute type, or its numbers.
fn name(oid: &[u8]) -> String {
    if let Some((_, name)) = NAMES.iter().find(|(known, _)| *known == oid) {
        return (*name).to_owned();
    }
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0_u64;
    for byte in oid {
        arc = arc.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if arcs.is_empty() {
                let first = (arc / 40).min(2);
                arcs.extend([first, arc - 40 * first]);
            } else {
                arcs.push(arc);
            }
            arc = 0;
        }
    }
    let arcs: Vec<String> = arcs.iter().map(u64::to_string).collect();
    arcs.join(".")
}

/// A value with what RFC 4514 section 2.4 has escaped, and control characters as one, too.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, letter) in value.chars().enumerate() {
        let special = matches!(letter, '"' | '+' | ',' | ';' | '<' | '>' | '\\')
            || (at == 0 && matches!(letter, ' ' | '#'))
            || (at == last && letter == ' ');
        if letter.is_control() {
            let mut utf8 = [0; 4];
            for byte in letter.encode_utf8(&mut utf8).bytes() {
                text.push_str(&format!("\\{byte:02X}"));
            }
            continue;
        }
        if special {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(names: &[(DnType, &str)], years: [i32; 2]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.not_before = date_time_ymd(years[0], 1, 2);
        params.not_after = date_time_ymd(years[1], 12, 31);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let der = certificate(&[(DnType::CommonName, "a")], [1999, 2049]);
        let read = validity(&der).unwrap();
        assert_eq!((read.from, read.to), (915_235_200, 2_524_521_600));
        let der = certificate(&[(DnType::CommonName, "a")], [2026, 2150]);
        let read = validity(&der).unwrap();
        assert_eq!((read.from, read.to), (1_767_312_000, 5_711_731_200));
    }

    #[test]
    fn a_subject_is_written_last_part_first_and_escaped() {
        let der = certificate(
            &[
                (DnType::CountryName, "DE"),
                (DnType::OrganizationName, "Acme, Inc. \"x\""),
                (DnType::CommonName, "#client 1 "),
                (DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99999, 5]), "a+b"),
            ],
            [2020, 2030],
        );
        assert_eq!(
            subject(&der).unwrap(),
            r#"1.3.6.1.4.1.99999.5=a\+b,CN=\#client 1\ ,O=Acme\, Inc. \"x\",C=DE"#
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (validity(&bytes), subject(&bytes));
        }

        #[test]
        fn no_damage_makes_it_panic(at in 0_usize..400, byte in any::<u8>(), cut in 0_usize..400) {
            let mut der = certificate(&[(DnType::CommonName, "a")], [1999, 2150]);
            if let Some(old) = der.get_mut(at) {
                *old = byte;
            }
            der.truncate(cut);
            let _ = (validity(&der), subject(&der));
        }
    }
}
