//! One look at the fields of a message, shared by all that treat them: each lookup of an absent field in a
//! header map costs as much as looking at several names.
//!
//! Refuses to know what is done about a field that is there.

use http::header::HOST;
use http::{HeaderMap, HeaderValue};

/// Which of the fields that the gateway treats are there. Made from a message as it came in; it does not
/// follow later changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    seen: u32,
    pub(super) host: HostField,
}

/// The `Host` field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostField {
    Absent,
    One(HeaderValue),
    Several,
}

/// A field that the gateway treats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Connection,
    KeepAlive,
    ProxyConnection,
    Te,
    TransferEncoding,
    Upgrade,
    Trailer,
    Expect,
    ProxyAuthorization,
    ProxyAuthenticate,
    ProxyAuthenticationInfo,
    Http2Settings,
    Host,
    Forwarded,
    XRealIp,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    /// Any other whose name begins with `x-forwarded-`.
    XForwardedOther,
    Via,
    MaxForwards,
}

impl Survey {
    /// Looks at every name once.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut seen = 0;
        for name in headers.keys() {
            if let Some(field) = Field::of(name.as_str()) {
                seen |= field.bit();
            }
        }
        let mut survey = Self {
            seen,
            host: HostField::Absent,
        };
        if survey.has(Field::Host) {
            survey.host = host(headers);
        }
        survey
    }

    /// Follows the one change that is made in between: a `Host` taken from the target.
    pub(super) fn set_host(&mut self, value: HeaderValue) {
        self.seen |= Field::Host.bit();
        self.host = HostField::One(value);
    }

    #[inline]
    pub(super) fn has(&self, field: Field) -> bool {
        self.seen & field.bit() != 0
    }

    /// Whether `Via` is there.
    #[must_use]
    pub fn has_via(&self) -> bool {
        self.has(Field::Via)
    }

    /// Whether `Max-Forwards` is there.
    #[must_use]
    pub fn has_max_forwards(&self) -> bool {
        self.has(Field::MaxForwards)
    }

    /// Whether a field is there that ends at this gateway.
    #[inline]
    pub(super) fn has_hop_by_hop(&self) -> bool {
        self.seen & (Field::Host.bit() - 1) != 0
    }
}

impl Field {
    #[inline]
    const fn bit(self) -> u32 {
        1 << (self as u32)
    }

    /// Length and first letter rule out nearly every other name before any text is compared.
    #[inline]
    pub(super) fn of(name: &str) -> Option<Self> {
        let (text, field) = match (name.len(), name.as_bytes().first()?) {
            (2, b't') => ("te", Self::Te),
            (3, b'v') => ("via", Self::Via),
            (4, b'h') => ("host", Self::Host),
            (6, b'e') => ("expect", Self::Expect),
            (7, b't') => ("trailer", Self::Trailer),
            (7, b'u') => ("upgrade", Self::Upgrade),
            (9, b'f') => ("forwarded", Self::Forwarded),
            (9, b'x') => ("x-real-ip", Self::XRealIp),
            (10, b'c') => ("connection", Self::Connection),
            (10, b'k') => ("keep-alive", Self::KeepAlive),
            (12, b'm') => ("max-forwards", Self::MaxForwards),
            (14, b'h') => ("http2-settings", Self::Http2Settings),
            (16, b'p') => ("proxy-connection", Self::ProxyConnection),
            (17, b't') => ("transfer-encoding", Self::TransferEncoding),
            (18, b'p') => ("proxy-authenticate", Self::ProxyAuthenticate),
            (19, b'p') => ("proxy-authorization", Self::ProxyAuthorization),
            (25, b'p') => ("proxy-authentication-info", Self::ProxyAuthenticationInfo),
            (12.., b'x') => {
                return match name.strip_prefix("x-forwarded-")? {
                    "for" => Some(Self::XForwardedFor),
                    "proto" => Some(Self::XForwardedProto),
                    "host" => Some(Self::XForwardedHost),
                    _ => Some(Self::XForwardedOther),
                };
            }
            _ => return None,
        };
        (name == text).then_some(field)
    }

    /// Whether it ends at this gateway.
    pub(super) fn is_hop_by_hop(self) -> bool {
        self.bit() < Self::Host.bit()
    }
}

/// Whether every field of a message has one line only, as nearly always.
pub(super) fn has_single_lines(headers: &HeaderMap) -> bool {
    headers.len() == headers.keys_len()
}

fn host(headers: &HeaderMap) -> HostField {
    if !has_single_lines(headers) && headers.get_all(HOST).iter().nth(1).is_some() {
        return HostField::Several;
    }
    headers
        .get(HOST)
        .map_or(HostField::Absent, |value| HostField::One(value.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_known_by_its_whole_name() {
        for (name, field) in [
            ("te", Some(Field::Te)),
            ("tf", None),
            ("host", Some(Field::Host)),
            ("hose", None),
            ("x-forwarded-for", Some(Field::XForwardedFor)),
            ("x-forwarded-fox", Some(Field::XForwardedOther)),
            ("x-forwarded-", Some(Field::XForwardedOther)),
            ("x-forwarded", None),
            ("via", Some(Field::Via)),
            ("max-forwards", Some(Field::MaxForwards)),
            ("x-real-ip", Some(Field::XRealIp)),
            ("x-real-iq", None),
            ("", None),
        ] {
            assert_eq!(Field::of(name), field, "{name}");
        }
    }

    #[test]
    fn only_fields_of_this_connection_are_hop_by_hop() {
        assert!(Field::Connection.is_hop_by_hop() && Field::Http2Settings.is_hop_by_hop());
        assert!(!Field::Host.is_hop_by_hop() && !Field::XForwardedOther.is_hop_by_hop());
    }

    #[test]
    fn the_host_is_counted_beside_other_repeated_fields() {
        let mut headers = HeaderMap::new();
        assert_eq!(Survey::of(&headers).host, HostField::Absent);
        headers.append("x", HeaderValue::from_static("1"));
        headers.append("x", HeaderValue::from_static("2"));
        headers.append(HOST, HeaderValue::from_static("a"));
        assert_eq!(
            Survey::of(&headers).host,
            HostField::One(HeaderValue::from_static("a"))
        );
        headers.append(HOST, HeaderValue::from_static("a"));
        assert_eq!(Survey::of(&headers).host, HostField::Several);
    }
}
