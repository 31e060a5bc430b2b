//! A client's connection after its handshake: the protocol that it speaks, and its requests until it ends or becomes a
//! tunnel. It refuses to know the worker's other connections.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::http2;
use super::serve::{Client, serve};
use crate::config::Listener;
use crate::net::http2::{Answer, Settings};
use crate::net::{Conn, Inlet, Phase, Protocol, Spoken, Watched};
use crate::telemetry::ListenerStats;
use crate::tls::HTTP_1_1;

/// Smallest buffer for a head that hyper takes.
pub(super) const MIN_BUFFER: usize = 8 << 10;

/// How the connections of a listener are served.
pub(super) struct Service {
    http1: http1::Builder,
    http2: Settings,
    spoken: Spoken,
}

impl Service {
    /// As the listener is configured.
    pub(super) fn of(listener: &Listener) -> Self {
        Self {
            http1: builder(listener),
            http2: http2::settings(listener),
            spoken: http2::spoken(listener),
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
        let end: Result<(), Box<dyn Error>> = match protocol {
            Ok(Some(Protocol::Http1)) => self.http1(client, conn, stream, stats).await.map_err(Into::into),
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
        conn: Rc<Conn>,
        stream: Watched,
        stats: &ListenerStats,
    ) -> hyper::Result<()> {
        let (served, driven) = (Rc::clone(&client), Rc::clone(&conn));
        let service = service_fn(move |request: Request<Incoming>| {
            let (parts, body) = request.into_parts();
            serve(Rc::clone(&served), Rc::clone(&conn), parts, Inlet::Http1(body))
        });
        let mut connection = self.http1.serve_connection(TokioIo::new(stream), service);
        let mut told = false;
        let end = poll_fn(|cx| {
            driven.driven_by(cx.waker());
            let mut connection = Pin::new(&mut connection);
            if driven.is_draining() && !std::mem::replace(&mut told, driven.is_draining()) {
                connection.as_mut().graceful_shutdown();
            }
            connection.poll(cx)
        });
        end.await?;
        if let Some(tunnel) = client.tunnel.take() {
            driven.enter(Phase::Tunnel);
            let parts = connection.into_parts();
            let (client, early) = (parts.io.into_inner(), parts.read_buf);
            Box::pin(tunnel.run(client, early, stats)).await;
        }
        Ok(())
    }

    async fn http2(
        self,
        client: Rc<Client>,
        stream: Watched,
        stats: &Arc<ListenerStats>,
    ) -> Result<(), h2::Error> {
        crate::net::http2::serve(stream, self.http2, |parts, body, conn| {
            let (client, stats) = match body {
                // The stream's tunnel is not the connection's.
                Inlet::Tunnelled => (Rc::new(client.of_stream()), Some(Arc::clone(stats))),
                Inlet::Http1(_) | Inlet::Http2(_) => (Rc::clone(&client), None),
            };
            async move {
                let Ok(response) = serve(Rc::clone(&client), conn, parts, body).await;
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

fn builder(listener: &Listener) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_headers(listener.limits.headers)
        .max_buf_size(listener.limits.header_bytes.max(MIN_BUFFER))
        .half_close(false);
    builder
}
