//! The cookie of a sticky choice: its configuration, checked, and the field that sets it (RFC 6265 section 4.1). Knows no
//! target: its value is somebody else's token.

use portcullis::{TimeSpan, headers};

use crate::config::{SameSite, Sticky};

/// Name of the cookie where the configuration gives none.
const NAME: &str = "portcullis-sticky";

/// A cookie, but for its value.
#[derive(Debug)]
pub(crate) struct Cookie {
    /// Its name.
    pub(crate) name: String,
    attributes: String,
}

impl Cookie {
    /// The cookie that the configuration describes.
    ///
    /// # Errors
    /// Which key cannot be so.
    pub(crate) fn new(sticky: &Sticky) -> Result<Self, String> {
        let name = sticky.name.clone().unwrap_or_else(|| NAME.to_owned());
        // A cookie's name is a token, as that of a header field is.
        if !headers::is_name(&name.to_ascii_lowercase()) || name.len() > 128 {
            return Err(format!("`sticky.name` is not the name of a cookie: {name:?}"));
        }
        let secure = sticky.secure.unwrap_or(false);
        let same_site = sticky.same_site.unwrap_or_default();
        if !secure && (name.starts_with("__Secure-") || name.starts_with("__Host-")) {
            return Err(format!(
                "`sticky.name`: clients take {name:?} only with `secure = true`"
            ));
        }
        if !secure && same_site == SameSite::None {
            return Err("`sticky.same-site`: clients take `none` only with `secure = true`".to_owned());
        }
        let path = sticky.path.as_deref().unwrap_or("/");
        if !path.starts_with('/') || path.contains(';') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("`sticky.path` is not a path: {path:?}"));
        }
        if name.starts_with("__Host-") && path != "/" {
            return Err(format!(
                "`sticky.name`: clients take {name:?} only with the path `/`"
            ));
        }
        let mut attributes = format!("; Path={path}");
        if let Some(TimeSpan(age)) = sticky.max_age {
            if age.is_zero() || age.subsec_nanos() != 0 {
                return Err("`sticky.max-age` is a number of whole seconds, at least 1".to_owned());
            }
            attributes.push_str(&format!("; Max-Age={}", age.as_secs()));
        }
        if secure {
            attributes.push_str("; Secure");
        }
        if sticky.http_only.unwrap_or(true) {
            attributes.push_str("; HttpOnly");
        }
        attributes.push_str(match same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        Ok(Self { name, attributes })
    }

    /// The value of `Set-Cookie` that gives the cookie this value.
    pub(crate) fn set(&self, value: &str) -> String {
        format!("{}={value}{}", self.name, self.attributes)
    }
}

#[cfg(test)]
mod tests {
    use portcullis::serde_json::{Value, from_value, json};

    use super::*;

    fn cookie(keys: Value) -> Result<Cookie, String> {
        let mut sticky = json!({ "by": "cookie" });
        let Value::Object(keys) = keys else {
            unreachable!("a table")
        };
        for (key, value) in keys {
            sticky[key] = value;
        }
        Cookie::new(&from_value(sticky).unwrap())
    }

    #[test]
    fn the_field_says_what_the_configuration_says() {
        for (keys, field) in [
            (json!({}), "portcullis-sticky=v; Path=/; HttpOnly; SameSite=Lax"),
            (
                json!({ "name": "__Host-Canary", "max-age": "2h", "secure": true, "same-site": "none" }),
                "__Host-Canary=v; Path=/; Max-Age=7200; Secure; HttpOnly; SameSite=None",
            ),
            (
                json!({ "path": "/shop", "http-only": false, "same-site": "strict" }),
                "portcullis-sticky=v; Path=/shop; SameSite=Strict",
            ),
        ] {
            assert_eq!(cookie(keys).unwrap().set("v"), field);
        }
    }

    #[test]
    fn what_a_client_would_not_keep_is_refused() {
        for (keys, reason) in [
            (
                json!({ "name": "a b" }),
                "`sticky.name` is not the name of a cookie",
            ),
            (json!({ "name": "" }), "`sticky.name` is not the name of a cookie"),
            (json!({ "name": "__Secure-a" }), "only with `secure = true`"),
            (
                json!({ "name": "__Host-a", "secure": true, "path": "/a" }),
                "only with the path `/`",
            ),
            (json!({ "same-site": "none" }), "only with `secure = true`"),
            (json!({ "path": "shop" }), "`sticky.path` is not a path"),
            (json!({ "path": "/a;b" }), "`sticky.path` is not a path"),
            (json!({ "max-age": "0s" }), "whole seconds"),
            (json!({ "max-age": "1500ms" }), "whole seconds"),
        ] {
            let error = cookie(keys).unwrap_err();
            assert!(error.contains(reason), "{error:?} does not say {reason:?}");
        }
    }
}
