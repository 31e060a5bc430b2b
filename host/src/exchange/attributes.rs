//! Text that the plugins of a pipeline and the access log share within one exchange. Prefixes that carry
//! trust (`auth.subject` decides what others allow) need a grant to write.

use super::EditError;

/// Attributes that one exchange may have.
const MAX: usize = 64;
/// Bytes of a key.
const MAX_KEY: usize = 128;
/// Bytes of a value.
const MAX_VALUE: usize = 8 << 10;
/// Prefixes that need a grant in TOML (`allow = { attributes = ["auth."] }`).
pub(super) const RESERVED: [&str; 6] = ["auth.", "api.", "cache.", "waf.", "gateway.", "limit."];

/// A small map in the order of first writing.
#[derive(Debug, Default)]
pub struct Attributes(Vec<(String, String)>);

impl Attributes {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Sets or removes one and gives its old value.
    pub(super) fn set(
        &mut self,
        granted: &[String],
        key: &str,
        value: Option<String>,
    ) -> Result<Option<String>, EditError> {
        if key.is_empty() || key.len() > MAX_KEY || key.chars().any(char::is_control) {
            return Err(EditError::Invalid(
                "an attribute's key has 1 to 128 bytes and no control characters".into(),
            ));
        }
        if value.as_ref().is_some_and(|v| v.len() > MAX_VALUE) {
            return Err(EditError::Limit("an attribute's value has at most 8 KiB"));
        }
        let reserved = RESERVED.iter().any(|prefix| key.starts_with(prefix));
        if reserved && !granted.iter().any(|prefix| key.starts_with(prefix.as_str())) {
            return Err(EditError::Denied(format!(
                "writing the attribute `{key}` needs a grant: allow = {{ attributes = [\"{}.\"] }}",
                key.split('.').next().unwrap_or(key)
            )));
        }
        if value.is_some() && self.0.len() >= MAX && self.get(key).is_none() {
            return Err(EditError::Limit("an exchange has at most 64 attributes"));
        }
        Ok(self.swap(key, value))
    }

    /// Puts an old value back.
    pub(crate) fn restore(&mut self, key: &str, old: Option<String>) {
        drop(self.swap(key, old));
    }

    fn swap(&mut self, key: &str, value: Option<String>) -> Option<String> {
        match (self.0.iter().position(|(k, _)| k == key), value) {
            (Some(at), Some(value)) => self.0.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            (Some(at), None) => Some(self.0.remove(at).1),
            (None, Some(value)) => {
                self.0.push((key.to_owned(), value));
                None
            }
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_prefixes_need_their_grant() {
        let mut attributes = Attributes::default();
        let auth = vec!["auth.".to_owned()];
        let subject = Some("acme".to_owned());
        assert!(matches!(
            attributes.set(&[], "auth.subject", subject.clone()),
            Err(EditError::Denied(_))
        ));
        assert_eq!(attributes.set(&auth, "auth.subject", subject.clone()), Ok(None));
        assert!(matches!(
            attributes.set(&auth, "cache.status", subject.clone()),
            Err(EditError::Denied(_))
        ));
        assert_eq!(attributes.set(&[], "my.own", subject), Ok(None));
        assert_eq!(attributes.get("auth.subject"), Some("acme"));
    }

    #[test]
    fn number_and_size_are_bounded() {
        let mut attributes = Attributes::default();
        for n in 0..MAX {
            assert_eq!(
                attributes.set(&[], &format!("k{n}"), Some(String::new())),
                Ok(None)
            );
        }
        assert!(attributes.set(&[], "one-more", Some(String::new())).is_err());
        assert!(
            attributes.set(&[], "k0", Some("changed".into())).is_ok(),
            "a known key may still change"
        );
        assert!(
            attributes
                .set(&[], "k0", Some("x".repeat(MAX_VALUE + 1)))
                .is_err()
        );
        assert!(attributes.set(&[], "", Some(String::new())).is_err());
    }
}
