//! What the head of a response says about compressing its body, and the fields that change with the coding. Knows no
//! coding's bytes.

use portcullis::{Problem, Response};

use crate::accept::has_word;
use crate::coding::Coding;

/// Fields that speak of the bytes before the coding: digests (RFC 9530, RFC 1864) and ranges of them.
const OF_OTHER_BYTES: [&str; 5] = [
    "accept-ranges",
    "content-digest",
    "content-md5",
    "digest",
    "repr-digest",
];

/// What a head says.
#[derive(Debug, Default)]
pub(crate) struct Head {
    status: u16,
    /// In lower case, without parameters; "" = none.
    pub(crate) media_type: String,
    /// Bytes of the body, where they are known.
    pub(crate) length: Option<u64>,
    /// `Vary` names `Accept-Encoding` or everything already.
    pub(crate) varies: bool,
    /// `ETag`; "" = none.
    tag: String,
    is_coded: bool,
    is_partial: bool,
    no_transform: bool,
}

impl Head {
    pub(crate) fn of(response: &Response) -> Self {
        let mut head = Self {
            status: response.status(),
            ..Self::default()
        };
        for (name, value) in response.headers().iter() {
            let value = std::str::from_utf8(value).unwrap_or_default();
            match name {
                "content-type" => {
                    let media_type = value.split(';').next().unwrap_or_default();
                    head.media_type = media_type.trim().to_ascii_lowercase();
                }
                "etag" => value.clone_into(&mut head.tag),
                "content-length" => head.length = value.parse().ok(),
                "content-encoding" => head.is_coded |= value.split(',').any(is_coding),
                "content-range" => head.is_partial = true,
                "cache-control" => head.no_transform |= has_word(value, "no-transform"),
                "vary" => head.varies |= has_word(value, "accept-encoding") || has_word(value, "*"),
                _ => {}
            }
        }
        head
    }

    /// The body has no coding yet and may be given one (RFC 9111 section 5.2.2.6).
    pub(crate) fn is_free(&self) -> bool {
        !self.is_coded && !self.no_transform
    }

    /// There can be a body, and it is no part of one (RFC 9110 sections 15.3 to 15.4).
    pub(crate) fn has_whole_body(&self) -> bool {
        !self.is_partial && self.status >= 200 && !matches!(self.status, 204 | 205 | 206 | 304)
    }

    /// 304: the client has the body already.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.status == 304
    }

    /// Gives a 304 the tag in the form in which the client has it, if that is the weak one of this plugin: a strong one
    /// would not be taken for the tag of what is stored (RFC 9111 section 4.3.4).
    pub(crate) fn confirm(&self, response: &mut Response) -> Result<(), Problem> {
        if self.tag.is_empty() || is_weak(&self.tag) {
            return Ok(());
        }
        let weak = weakened(&self.tag);
        let known = response.request().header_values("if-none-match");
        if known.iter().any(|list| has_word(list, &weak)) {
            response.set_header("etag", &weak)?;
            if !self.varies {
                response.append_header("vary", "accept-encoding")?;
            }
        }
        Ok(())
    }
}

fn is_coding(element: &str) -> bool {
    let name = element.trim();
    !name.is_empty() && !name.eq_ignore_ascii_case("identity")
}

/// Makes the head that of a body in this coding.
pub(crate) fn dress(response: &mut Response, coding: Coding) -> Result<(), Problem> {
    let headers = response.headers();
    let present = |name: &str| headers.get(name).is_some();
    response.set_header("content-encoding", coding.name())?;
    if present("etag")
        && let Some(tag) = response.header("etag")
    {
        response.set_header("etag", &weakened(&tag))?;
    }
    for name in OF_OTHER_BYTES.into_iter().filter(|name| present(name)) {
        response.remove_header(name)?;
    }
    Ok(())
}

fn is_weak(tag: &str) -> bool {
    tag.starts_with("W/")
}

/// The weak form of a tag (RFC 9110 section 8.8.3): the bytes of two codings of one representation are not the same.
fn weakened(tag: &str) -> String {
    if is_weak(tag) {
        tag.to_owned()
    } else {
        format!("W/{tag}")
    }
}
