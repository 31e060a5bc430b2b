//! Carries connections to a peer by TLS: whoever connects to it in clear speaks to the peer through TLS. Each
//! connection is one handshake; sessions are continued where the peer allows it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind};
use tokio::io::{AsyncWriteExt as _, copy, split};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;

use super::{Authority, BOTH, Leaf, Versions, provider, version};
use crate::patience::eventually;
use crate::port;

/// How a handshake ended, and the connection after it.
#[derive(Debug, Clone, Default)]
pub struct Dialled {
    /// Why there was none; empty when there was.
    pub error: String,
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// It continued an earlier session.
    pub resumed: bool,
    /// The protocol that was agreed on.
    pub protocol: Option<String>,
    /// The certificate that was shown.
    pub certificate: Option<CertificateDer<'static>>,
    /// How the peer ended the connection: none while it is open, `proper` with the alert that TLS demands, else the error.
    pub end: Option<String>,
}

/// A local address from which connections go to a peer by TLS.
#[derive(Debug)]
pub struct Dialer {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Dialled>>>,
    task: JoinHandle<()>,
}

/// What a [`Dialer`] says of itself.
#[derive(Debug)]
pub struct DialerBuilder {
    peer: SocketAddr,
    config: Config,
}

#[derive(Debug)]
struct Config {
    roots: rustls::RootCertStore,
    name: String,
    send_name: bool,
    versions: Versions,
    identity: Option<Leaf>,
    protocols: Vec<Vec<u8>>,
    resumption: bool,
}

impl Dialer {
    /// Dials `peer`, which has to have a certificate of `authority` for `name`.
    #[must_use]
    pub fn to(peer: SocketAddr, authority: &Authority, name: &str) -> DialerBuilder {
        DialerBuilder {
            peer,
            config: Config {
                roots: authority.roots(),
                name: name.to_owned(),
                send_name: true,
                versions: BOTH,
                identity: None,
                protocols: Vec::new(),
                resumption: true,
            },
        }
    }

    /// Where to connect to in clear.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All handshakes so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Dialled> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The latest handshake.
    ///
    /// # Panics
    /// When there was none.
    #[must_use]
    pub fn last(&self) -> Dialled {
        self.seen().pop().expect("a handshake")
    }

    /// Waits until the connection of this number has ended, and gives it.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&self, number: usize) -> Dialled {
        eventually("the end of a connection with TLS", async || {
            self.seen()
                .get(number)
                .filter(|dialled| dialled.end.is_some())
                .cloned()
        })
        .await
    }
}

impl Drop for Dialer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl DialerBuilder {
    /// Speaks only these versions.
    #[must_use]
    pub fn versions(mut self, versions: Versions) -> Self {
        self.config.versions = versions;
        self
    }

    /// Does not say which name it asks for.
    #[must_use]
    pub fn nameless(mut self) -> Self {
        self.config.send_name = false;
        self
    }

    /// Shows this certificate when it is asked for one.
    #[must_use]
    pub fn identity(mut self, leaf: &Leaf) -> Self {
        self.config.identity = Some(leaf.clone());
        self
    }

    /// Offers these protocols (ALPN).
    #[must_use]
    pub fn protocols(mut self, protocols: &[&str]) -> Self {
        self.config.protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Continues no session.
    #[must_use]
    pub fn forgetful(mut self) -> Self {
        self.config.resumption = false;
        self
    }

    /// Starts it in the runtime of the test.
    ///
    /// # Panics
    /// Without a free port.
    #[must_use]
    pub fn start(self) -> Dialer {
        let (listener, address) = port::listen();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let name = ServerName::try_from(self.config.name.clone()).expect("a name");
        let config = Arc::new(self.config.build());
        let (peer, record) = (self.peer, Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                while connections.try_join_next().is_some() {}
                let (config, record, name) = (Arc::clone(&config), Arc::clone(&record), name.clone());
                connections.spawn(async move { carry(stream, peer, config, name, &record).await });
            }
        });
        Dialer { address, seen, task }
    }
}

impl Config {
    fn build(self) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(self.versions)
            .expect("versions")
            .with_root_certificates(self.roots);
        let mut config = match &self.identity {
            Some(leaf) => builder
                .with_client_auth_cert(vec![leaf.der()], leaf.key_der())
                .expect("a certificate of a client"),
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = self.send_name;
        config.alpn_protocols = self.protocols;
        if !self.resumption {
            config.resumption = Resumption::disabled();
        }
        config
    }
}

async fn carry(
    near: TcpStream,
    peer: SocketAddr,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    record: &Mutex<Vec<Dialled>>,
) {
    let keep = |dialled: Dialled| {
        let mut seen = record.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(dialled);
        seen.len() - 1
    };
    let dial = async {
        near.set_nodelay(true)?;
        let far = TcpStream::connect(peer).await?;
        far.set_nodelay(true)?;
        TlsConnector::from(config).connect(name, far).await
    };
    let far = match dial.await {
        Ok(far) => far,
        Err(error) => {
            keep(Dialled {
                error: error.to_string(),
                end: Some("no handshake".to_owned()),
                ..Dialled::default()
            });
            return;
        }
    };
    let session = far.get_ref().1;
    let number = keep(Dialled {
        version: version(session.protocol_version()),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        protocol: session
            .alpn_protocol()
            .map(|name| String::from_utf8_lossy(name).into_owned()),
        certificate: session
            .peer_certificates()
            .and_then(|chain| chain.first())
            .map(|leaf| leaf.clone().into_owned()),
        ..Dialled::default()
    });
    let (mut answers, mut requests) = split(far);
    let (mut input, mut output) = near.into_split();
    let down = async {
        let end = match copy(&mut answers, &mut output).await {
            Ok(_) => "proper".to_owned(),
            Err(error) => error.to_string(),
        };
        record.lock().unwrap_or_else(PoisonError::into_inner)[number].end = Some(end);
        output.shutdown().await.ok();
    };
    let up = async {
        copy(&mut input, &mut requests).await.ok();
        requests.shutdown().await.ok();
    };
    tokio::join!(down, up);
}
