//! The response field `Vary` (RFC 9110 section 12.5.5): what a response depends on. Knows no origin.

use portcullis::Headers;

/// Whether the fields say already that the response depends on the request field `name` (in lower case): they list it,
/// or `*`, which is everything.
pub(crate) fn lists(headers: &Headers, name: &str) -> bool {
    headers
        .iter()
        .filter(|(field, _)| *field == "vary")
        .flat_map(|(_, value)| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|member| member == b"*" || member.eq_ignore_ascii_case(name.as_bytes()))
}
