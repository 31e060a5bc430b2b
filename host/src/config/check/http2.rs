//! `protocols` and `[listeners.NAME.http2]`, and `protocol` of upstreams.
//!
//! It refuses to know what the protocols do.

use std::time::Duration;

use super::super::model::{Http2, Protocols, UpstreamProtocol};
use super::super::reader::Reader;

const HELP: &str = "what clients may speak: `protocols = [\"http/1.1\", \"h2\"]`, or one of them";

/// What a listener speaks.
pub(super) fn protocols(reader: &mut Reader<'_>) -> Protocols {
    let scope = reader.scope();
    let Some(texts) = reader.texts("protocols", HELP) else {
        return Protocols::Both;
    };
    let (mut http1, mut http2) = (0, 0);
    for text in &texts {
        let seen = match text.as_str() {
            "http/1.1" => &mut http1,
            "h2" => &mut http2,
            _ => {
                scope.error_with_help(text.at(), format!("{} is not a protocol", text.shown()), HELP);
                continue;
            }
        };
        *seen += 1;
        if *seen == 2 {
            scope.error(text.at(), format!("{} is listed twice", text.shown()));
        }
    }
    match (http1, http2) {
        (1.., 0) => Protocols::Http1,
        (0, 1..) => Protocols::Http2,
        _ => Protocols::Both,
    }
}

/// What the servers of an upstream speak.
pub(super) fn upstream(reader: &mut Reader<'_>) -> UpstreamProtocol {
    let choices = [
        ("http/1.1", UpstreamProtocol::Http1),
        ("h2", UpstreamProtocol::Http2),
    ];
    reader.choice("protocol", &choices, UpstreamProtocol::Http1)
}

/// What a connection that speaks HTTP/2 may hold.
pub(super) fn read(mut reader: Reader<'_>) -> Http2 {
    let second = Duration::from_secs(1);
    let times = || Duration::from_millis(1)..=24 * 3600 * second;
    // RFC 9113 section 6.9.1: a window is at most 2^31-1; smaller ones than the initial would need a round trip.
    let windows = || 65_535..=1 << 30;
    let http2 = Http2 {
        max_concurrent_streams: reader.number("max-concurrent-streams", 1..=100_000, 100),
        stream_window: narrow(reader.size("stream-window", windows(), 64 << 10)),
        connection_window: narrow(reader.size("connection-window", windows(), 1 << 20)),
        ping_interval: reader.time("ping-interval", times(), 30 * second),
        ping_timeout: reader.time("ping-timeout", times(), 20 * second),
    };
    reader.finish();
    http2
}

fn narrow(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{errors, parsed};

    use super::*;

    fn listener(text: &str) -> crate::config::Listener {
        parsed(&format!("[listeners.a]\naddress = '127.0.0.1:0'\n{text}"))
            .listeners
            .remove(0)
    }

    #[test]
    fn a_listener_speaks_both_protocols_unless_told_otherwise() {
        assert_eq!(listener("").protocols, Protocols::Both);
        assert_eq!(
            listener("protocols = ['h2', 'http/1.1']").protocols,
            Protocols::Both
        );
        assert_eq!(listener("protocols = ['h2']").protocols, Protocols::Http2);
        assert_eq!(listener("protocols = ['http/1.1']").protocols, Protocols::Http1);
    }

    #[test]
    fn every_key_is_read() {
        let http2 = listener(
            "[listeners.a.http2]\nmax-concurrent-streams = 7\nstream-window = '1MiB'\nconnection-window = '2MiB'\n\
             ping-interval = '1s'\nping-timeout = '2s'\n",
        )
        .http2;
        let expected = Http2 {
            max_concurrent_streams: 7,
            stream_window: 1 << 20,
            connection_window: 2 << 20,
            ping_interval: Duration::from_secs(1),
            ping_timeout: Duration::from_secs(2),
        };
        assert_eq!(http2, expected);
    }

    #[test]
    fn an_unknown_protocol_and_one_that_is_listed_twice_are_refused() {
        let head = "[listeners.a]\naddress = '127.0.0.1:0'\n";
        insta::assert_snapshot!(errors(&format!("{head}protocols = ['h3', 'h2', 'h2']\n")), @r#"
        error: `h3` is not a protocol
         --> gateway.toml:3:14
          |
        3 | protocols = ['h3', 'h2', 'h2']
          |              ^^^^
          = help: what clients may speak: `protocols = ["http/1.1", "h2"]`, or one of them

        error: `h2` is listed twice
         --> gateway.toml:3:26
          |
        3 | protocols = ['h3', 'h2', 'h2']
          |                          ^^^^
        "#);
        insta::assert_snapshot!(errors(&format!("{head}protocols = []\n")), @r#"
        error: `protocols` is empty
         --> gateway.toml:3:1
          |
        3 | protocols = []
          | ^^^^^^^^^
          = help: what clients may speak: `protocols = ["http/1.1", "h2"]`, or one of them
        "#);
    }
}
