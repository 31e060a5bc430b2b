//! An exchange that lasts: its texts are slices of the buffers that its heads were read into, and keep those alive. It
//! refuses to know why it lasts.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};

use super::Exchange;

impl Exchange {
    /// Copies what refers to the buffers of both connections, so that these can go.
    pub fn compact(&mut self) {
        let request = &mut self.request;
        copy_target(&mut request.target);
        if let Some(target) = &mut self.raw_target {
            copy_target(target);
        }
        copy_value(&mut request.authority);
        copy_fields(&mut request.headers);
        if let Some(response) = &mut self.response {
            copy_fields(&mut response.headers);
        }
        if let Some(protocols) = &mut self.upgrade {
            copy_value(protocols);
        }
    }
}

fn copy_target(target: &mut PathAndQuery) {
    let copy = Bytes::copy_from_slice(target.as_str().as_bytes());
    // The text of a target is one; the other arm only spares a panic.
    if let Ok(copy) = PathAndQuery::from_maybe_shared(copy) {
        *target = copy;
    }
}

fn copy_fields(fields: &mut HeaderMap) {
    fields.values_mut().for_each(copy_value);
}

fn copy_value(value: &mut HeaderValue) {
    if let Ok(mut copy) = HeaderValue::from_bytes(value.as_bytes()) {
        copy.set_sensitive(value.is_sensitive());
        *value = copy;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use http::{Method, Version};
    use tokio::time::Instant;

    use super::super::{Names, RequestHead};
    use super::*;

    #[tokio::test]
    async fn nothing_refers_to_the_buffer_any_more() {
        let buffer = Bytes::from(vec![b'a'; 8 << 10]);
        let slice = |length: usize| HeaderValue::from_maybe_shared(buffer.slice(..length)).unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-a", slice(5));
        headers.append("x-a", slice(7));
        headers.append("x-b", slice(9));
        let target = Bytes::from(vec![b'/'; 3]);
        let head = RequestHead {
            method: Method::GET,
            authority: slice(3),
            target: PathAndQuery::from_maybe_shared(target.clone()).unwrap(),
            headers: headers.clone(),
            version: Version::HTTP_11,
        };
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut x = Exchange::new(1, Instant::now(), ip, head, Arc::new(Names::default()));
        x.upgrade = Some(slice(4));
        x.compact();
        assert_eq!(
            (x.request.headers.clone(), x.request.target.as_str()),
            (headers.clone(), "///")
        );
        drop(headers);
        assert!(buffer.is_unique() && target.is_unique());
    }
}
