//! Puts TLS before an upstream: connections with TLS to its address go on to the upstream in clear.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Authority, BOTH, Leaf, Versions, provider, version};
use crate::port;

/// Bytes that are carried at once.
const PIECE: usize = 64 << 10;

/// How a handshake ended.
#[derive(Debug, Clone, Default)]
pub struct Accepted {
    /// Why there was none; empty when there was.
    pub error: String,
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The name that was asked for.
    pub name: Option<String>,
    /// The protocol that was agreed on.
    pub protocol: Option<String>,
    /// It continued an earlier session.
    pub resumed: bool,
    /// The client's certificate.
    pub client: Option<CertificateDer<'static>>,
}

/// What a connection is told to do while nothing happens on it.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// Say by TLS that nothing more comes, and leave the socket open.
    CloseNotify,
    /// Change the keys: a record that is for TLS only.
    ChangeKeys,
}

type Orders = Vec<mpsc::Sender<(Order, oneshot::Sender<()>)>>;

/// An address with TLS before an upstream.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Accepted>>>,
    orders: Arc<Mutex<Orders>>,
    task: JoinHandle<()>,
}

/// What a [`Front`] says of itself.
#[derive(Debug)]
pub struct FrontBuilder {
    upstream: SocketAddr,
    leaf: Leaf,
    versions: Versions,
    clients: Option<rustls::RootCertStore>,
    protocols: Vec<Vec<u8>>,
}

impl Front {
    /// TLS by this certificate before `upstream`.
    #[must_use]
    pub fn before(upstream: SocketAddr, leaf: &Leaf) -> FrontBuilder {
        FrontBuilder {
            upstream,
            leaf: leaf.clone(),
            versions: BOTH,
            clients: None,
            protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        }
    }

    /// Where to connect to by TLS.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All handshakes so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Accepted> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says on every open connection that nothing more comes, and leaves the sockets open.
    pub async fn close_notify(&self) {
        self.order(Order::CloseNotify).await;
    }

    /// Changes the keys of every open connection.
    pub async fn change_keys(&self) {
        self.order(Order::ChangeKeys).await;
    }

    async fn order(&self, order: Order) {
        let all = self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for connection in all {
            let (done, ended) = oneshot::channel();
            if connection.send((order, done)).await.is_ok() {
                // One that has ended has done it, too.
                ended.await.ok();
            }
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FrontBuilder {
    /// Speaks only these versions.
    #[must_use]
    pub fn versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Demands a certificate of this authority from clients.
    #[must_use]
    pub fn clients_of(mut self, authority: &Authority) -> Self {
        self.clients = Some(authority.roots());
        self
    }

    /// Agrees on these protocols (ALPN) instead of both of HTTP, the preferred one first.
    #[must_use]
    pub fn protocols(mut self, protocols: &[&str]) -> Self {
        self.protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Starts it in the runtime of the test.
    ///
    /// # Panics
    /// Without a free port.
    #[must_use]
    pub fn start(self) -> Front {
        let (listener, address) = port::listen();
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(self.versions)
            .expect("versions");
        let builder = match self.clients {
            Some(roots) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                    .build()
                    .expect("a verifier"),
            ),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(vec![self.leaf.der()], self.leaf.key_der())
            .expect("a certificate of a server");
        config.alpn_protocols = self.protocols;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (seen, orders) = (Arc::default(), Arc::default());
        let (record, queues, upstream) = (Arc::clone(&seen), Arc::clone(&orders), self.upstream);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                while connections.try_join_next().is_some() {}
                let (acceptor, record, queues) = (acceptor.clone(), Arc::clone(&record), Arc::clone(&queues));
                connections.spawn(async move { accept(stream, acceptor, upstream, &record, &queues).await });
            }
        });
        Front {
            address,
            seen,
            orders,
            task,
        }
    }
}

async fn accept(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    upstream: SocketAddr,
    record: &Mutex<Vec<Accepted>>,
    orders: &Mutex<Orders>,
) {
    let keep = |accepted: Accepted| {
        record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(accepted)
    };
    stream.set_nodelay(true).ok();
    let near = match acceptor.accept(stream).await {
        Ok(near) => near,
        Err(error) => {
            return keep(Accepted {
                error: error.to_string(),
                ..Accepted::default()
            });
        }
    };
    let session = near.get_ref().1;
    keep(Accepted {
        error: String::new(),
        version: version(session.protocol_version()),
        name: session.server_name().map(str::to_owned),
        protocol: session
            .alpn_protocol()
            .map(|name| String::from_utf8_lossy(name).into_owned()),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        client: session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|leaf| leaf.clone().into_owned()),
    });
    let Ok(far) = TcpStream::connect(upstream).await else {
        return;
    };
    far.set_nodelay(true).ok();
    let (order, queue) = mpsc::channel(1);
    orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
    // Either side may break off.
    carry(near, far, queue).await.ok();
}

async fn carry(
    mut near: TlsStream<TcpStream>,
    mut far: TcpStream,
    mut orders: mpsc::Receiver<(Order, oneshot::Sender<()>)>,
) -> std::io::Result<()> {
    let (mut up, mut down) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        tokio::select! {
            count = near.read(&mut up) => match count? {
                0 => far.shutdown().await?,
                count => { far.write_all(&up[..count]).await?; continue }
            },
            count = far.read(&mut down) => match count? {
                0 => { near.shutdown().await?; return Ok(()) }
                count => { near.write_all(&down[..count]).await?; near.flush().await?; continue }
            },
            Some((order, done)) = orders.recv() => {
                match order {
                    Order::CloseNotify => {
                        near.get_mut().1.send_close_notify();
                        near.flush().await?;
                    }
                    Order::ChangeKeys => {
                        let session = near.get_mut().1;
                        session.refresh_traffic_keys().expect("TLS 1.3 can change its keys");
                        near.flush().await?;
                    }
                }
                done.send(()).ok();
                continue;
            }
        }
        // The client is done: the rest of what comes for it.
        loop {
            match far.read(&mut down).await? {
                0 => return near.shutdown().await,
                count => near.write_all(&down[..count]).await?,
            }
        }
    }
}
