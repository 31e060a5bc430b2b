//! Field names that a plugin uses again and again, parsed once. It refuses to know what is done with them.

use http::header::HeaderName;

use super::EditError;
use super::field::name_of;
use crate::message::fields::is_connection_field;

/// Names that are kept; a plugin with more pays for parsing the others.
const MAX_NAMES: usize = 32;

/// The names that one instance of a plugin has used.
#[derive(Debug, Default)]
pub struct FieldNames(Vec<FieldName>);

#[derive(Debug)]
struct FieldName {
    name: HeaderName,
    owner: Owner,
}

/// Who sets a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Anyone,
    /// It frames the message or belongs to the connection.
    Gateway,
}

impl FieldNames {
    /// A name in any case.
    ///
    /// # Errors
    /// When it is no token (RFC 9110, section 5.1).
    pub fn any(&mut self, name: &[u8]) -> Result<HeaderName, EditError> {
        self.find(name).map(|(name, _)| name)
    }

    /// The name of a field that a plugin may set in a message.
    ///
    /// # Errors
    /// When it is no token, or the field is the gateway's own.
    pub(super) fn settable(&mut self, name: &[u8]) -> Result<HeaderName, EditError> {
        match self.find(name)? {
            (name, Owner::Anyone) => Ok(name),
            (name, Owner::Gateway) => Err(EditError::Invalid(format!("the gateway itself sets `{name}`"))),
        }
    }

    fn find(&mut self, name: &[u8]) -> Result<(HeaderName, Owner), EditError> {
        let known = self.0.iter().find(|known| known.name.as_str().as_bytes() == name);
        if let Some(known) = known {
            return Ok((known.name.clone(), known.owner));
        }
        let parsed = name_of(name)?;
        let owner = if is_connection_field(parsed.as_str()) {
            Owner::Gateway
        } else {
            Owner::Anyone
        };
        // In upper case it would not be found again.
        if self.0.len() < MAX_NAMES && parsed.as_str().as_bytes() == name {
            self.0.push(FieldName {
                name: parsed.clone(),
                owner,
            });
        }
        Ok((parsed, owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_the_second_time() {
        let mut names = FieldNames::default();
        for name in ["x-one", "X-One", "etag", "content-length", "bad name", ""] {
            let first = (names.any(name.as_bytes()), names.settable(name.as_bytes()));
            let second = (names.any(name.as_bytes()), names.settable(name.as_bytes()));
            assert_eq!(first, second, "{name}");
        }
        assert!(names.any(b"content-length").is_ok());
        assert!(names.settable(b"content-length").is_err());
        assert_eq!(names.any(b"X-ONE").unwrap(), "x-one");
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut names = FieldNames::default();
        for n in 0..100 {
            let name = format!("x-{n}");
            assert_eq!(names.any(name.as_bytes()).unwrap(), name.as_str());
        }
        assert_eq!(names.0.len(), MAX_NAMES);
    }
}
