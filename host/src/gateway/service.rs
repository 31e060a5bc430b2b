//! A client's connection after its handshake: the protocol that it speaks, and its requests until it ends or becomes a
//! tunnel. It refuses to know the worker's other connections.

use std::error::Error;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::http2 as protocols;
use super::serve::{Client, serve};
use crate::config::Listener;
use crate::net::{Answer, Inlet, Protocol, Spoken, Watched, http1, http2};
use crate::telemetry::ListenerStats;
use crate::tls::HTTP_1_1;

/// How the connections of a listener are served.
pub(super) struct Service {
    http1: http1::Settings,
    http2: http2::Settings,
    spoken: Spoken,
}

impl Service {
    /// As the listener is configured.
    pub(super) fn of(listener: &Listener) -> Self {
        Self {
            http1: http1::Settings {
                max_headers: listener.limits.headers,
                header_bytes: listener.limits.header_bytes,
            },
            http2: protocols::settings(listener),
            spoken: protocols::spoken(listener),
        }
    }

    /// Serves a connection to its end.
    pub(super) async fn serve(self, client: Rc<Client>, mut stream: Watched, stats: &Arc<ListenerStats>) {
        let conn = Rc::clone(stream.conn());
        let protocol = {
            // A client that agreed on nothing speaks what everybody did before ALPN.
            let secured = client.secured.as_ref();
            let negotiated = secured.map(|secured| secured.protocol().unwrap_or(HTTP_1_1));
            let known = poll_fn(|cx| {
                conn.driven_by(cx.waker());
                if conn.is_draining() {
                    return Poll::Ready(Ok(None));
                }
                stream.poll_protocol(self.spoken, negotiated, cx)
            });
            known.await
        };
        let end: Result<(), Box<dyn Error + Send + Sync>> = match protocol {
            Ok(Some(Protocol::Http1)) => self.http1(client, stream, stats).await,
            // Boxed: connections that speak HTTP/1.1 do not pay for its size.
            Ok(Some(Protocol::Http2)) => Box::pin(self.http2(client, stream, stats))
                .await
                .map_err(Into::into),
            Ok(None) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = end {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn http1(
        self,
        client: Rc<Client>,
        stream: Watched,
        stats: &ListenerStats,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        http1::serve(stream, self.http1, |parts, body, conn| {
            let client = Rc::clone(&client);
            async move {
                let response = serve(Rc::clone(&client), conn, parts, body).await;
                match client.tunnel.take() {
                    Some(tunnel) => {
                        let run = async move |stream, early| tunnel.run(stream, early, stats).await;
                        Answer::Tunnel(response.into_parts().0, run)
                    }
                    None => Answer::Response(response),
                }
            }
        })
        .await
    }

    async fn http2(
        self,
        client: Rc<Client>,
        stream: Watched,
        stats: &Arc<ListenerStats>,
    ) -> Result<(), h2::Error> {
        http2::serve(stream, self.http2, |parts, body, conn| {
            let (client, stats) = match body {
                // The stream's tunnel is not the connection's.
                Inlet::Tunnelled => (Rc::new(client.of_stream()), Some(Arc::clone(stats))),
                Inlet::Http1(_) | Inlet::Http2(_) => (Rc::clone(&client), None),
            };
            async move {
                let response = serve(Rc::clone(&client), conn, parts, body).await;
                match (client.tunnel.take(), stats) {
                    (Some(tunnel), Some(stats)) => {
                        let run = async move |stream| tunnel.run(stream, Bytes::new(), &stats).await;
                        Answer::Tunnel(response.into_parts().0, run)
                    }
                    _ => Answer::Response(response),
                }
            }
        })
        .await
    }
}
