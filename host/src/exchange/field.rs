//! Parsing of what a plugin gives as a field or a status.

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};

use super::{EditError, from_text};

/// A status that ends an exchange (RFC 9110, section 15: 1xx are interim).
#[must_use]
pub fn final_status(status: u16) -> Option<StatusCode> {
    StatusCode::from_u16(status)
        .ok()
        .filter(|s| (200..600).contains(&s.as_u16()))
}

/// Parses a field name, in any case.
///
/// # Errors
/// When it is no token (RFC 9110, section 5.1).
pub fn field_name(name: &str) -> Result<HeaderName, EditError> {
    name_of(name.as_bytes())
}

/// The same of bytes.
pub(super) fn name_of(name: &[u8]) -> Result<HeaderName, EditError> {
    HeaderName::from_bytes(name)
        .map_err(|_| EditError::Invalid(format!("`{}` is not a field name", name.escape_ascii())))
}

/// Parses a field value given as text of U+0000 to U+00FF.
///
/// # Errors
/// When it has control characters or characters above U+00FF (RFC 9110, section 5.5).
pub fn field_value(value: &str) -> Result<HeaderValue, EditError> {
    from_text(value)
        .and_then(|bytes| HeaderValue::from_maybe_shared(bytes).ok())
        .ok_or_else(|| {
            EditError::Invalid("not a field value (control character, or above U+00FF)".to_owned())
        })
}
