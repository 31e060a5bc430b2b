//! Headers of a message as fields that can be edited, and which of them are the gateway's own. Knows no configuration.

use std::borrow::Cow;

use portcullis::{Request, Response, headers};

use crate::failure::Failure;
use crate::fields::Editable;

/// Fields of the connection and of framing, which the gateway writes itself (RFC 9110 section 7.6.1, RFC 9112 section 6).
const OWN: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The name of a header of a request, in lower case.
pub(crate) fn request_name(name: &str) -> Result<String, String> {
    match response_name(name)? {
        host if host == "host" => Err("the host has a key of its own: `request.host`".to_owned()),
        name => Ok(name),
    }
}

/// The name of a header of a response, in lower case.
pub(crate) fn response_name(name: &str) -> Result<String, String> {
    let name = name.to_ascii_lowercase();
    if !headers::is_name(&name) {
        return Err(format!("{name:?} is not the name of a header"));
    }
    if OWN.contains(&name.as_str()) {
        return Err(format!("the gateway itself sets `{name}`"));
    }
    Ok(name)
}

macro_rules! editable {
    ($message:ty) => {
        impl Editable for $message {
            fn has(&self, name: &str) -> bool {
                self.header(name).is_some()
            }

            fn remove(&mut self, name: &str) -> Result<(), Failure> {
                Ok(self.remove_header(name)?)
            }

            fn rename(&mut self, from: &str, to: &str) -> Result<(), Failure> {
                let values = self.header_values(from);
                if values.is_empty() || from == to {
                    return Ok(());
                }
                self.remove_header(from)?;
                let values: Vec<_> = values.into_iter().map(Cow::Owned).collect();
                self.set(to, &values)
            }

            fn set(&mut self, name: &str, values: &[Cow<'_, str>]) -> Result<(), Failure> {
                let Some((first, more)) = values.split_first() else {
                    return Ok(self.remove_header(name)?);
                };
                self.set_header(name, first)?;
                for value in more {
                    self.append_header(name, value)?;
                }
                Ok(())
            }

            fn append(&mut self, name: &str, value: &str) -> Result<(), Failure> {
                Ok(self.append_header(name, value)?)
            }
        }
    };
}

editable!(Request);
editable!(Response);
