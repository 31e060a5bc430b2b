//! From settings to a connection of the crate `redis`. It refuses to know when to connect.

use std::sync::Arc;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    PushInfo, PushKind, RedisConnectionInfo, RedisFuture, RedisResult, TlsCertificates, Value,
};
use tokio::sync::Notify;

use crate::store::redis::{Place, Servers, Settings};

/// How many commands may wait to be written.
const QUEUE: usize = 256;
/// How long the connections of a cluster wait for an answer that nobody waits for any more.
const ABANDONED: std::time::Duration = std::time::Duration::from_secs(1);

/// A connection for many commands at once.
#[derive(Clone)]
pub(super) enum Connection {
    /// To one server.
    One(MultiplexedConnection),
    /// To the nodes of a cluster, each of which the crate connects again by itself.
    Cluster(ClusterConnection),
}

impl Connection {
    /// One command.
    pub(super) fn send<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    /// Whether one error means that the connection is of no use.
    pub(super) const fn breaks_as_a_whole(&self) -> bool {
        matches!(self, Self::One(_))
    }
}

/// Connects, and says who the gateway is. `lost` is told when the connection to one server ends.
///
/// The protocol is RESP3 (Redis 6.0 and later): only with it the crate tells of a connection that ends while it is idle.
pub(super) async fn connect(settings: &Settings, lost: Arc<Notify>) -> RedisResult<Connection> {
    let certificates = settings.ca.as_ref().map(|pem| TlsCertificates {
        client_tls: None,
        root_cert: Some(pem.clone().into_bytes()),
    });
    match &settings.servers {
        Servers::One(place, database) => {
            let info = info(settings, place, *database)?;
            let client = match certificates {
                Some(certificates) => Client::build_with_tls(info, certificates)?,
                None => Client::open(info)?,
            };
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(settings.connect_timeout))
                .set_response_timeout(None)
                .set_pipeline_buffer_size(settings.max_pending.min(QUEUE))
                .set_push_sender(move |push: PushInfo| {
                    if push.kind == PushKind::Disconnection {
                        lost.notify_one();
                    }
                    Ok::<(), std::convert::Infallible>(())
                });
            let connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            Ok(Connection::One(connection))
        }
        Servers::Cluster(places) => {
            let infos = places.iter().map(|place| info(settings, place, 0));
            let infos = infos.collect::<RedisResult<Vec<_>>>()?;
            let mut builder = ClusterClient::builder(infos)
                .connection_timeout(settings.connect_timeout)
                .response_timeout(settings.timeout.max(ABANDONED))
                .retries(1)
                .tcp_settings(TcpSettings::default().set_nodelay(true))
                .use_protocol(ProtocolVersion::RESP3);
            if let Some(user) = &settings.user {
                builder = builder.username(user);
            }
            if let Some(password) = &settings.password {
                builder = builder.password(password);
            }
            if let Some(certificates) = certificates {
                builder = builder.certs(certificates);
            }
            let connection = builder.build()?.get_async_connection().await?;
            Ok(Connection::Cluster(connection))
        }
    }
}

fn info(settings: &Settings, place: &Place, database: u16) -> RedisResult<ConnectionInfo> {
    let address = match place {
        Place::Clear(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
        Place::Tls(host, port) => ConnectionAddr::TcpTls {
            host: host.clone(),
            port: *port,
            insecure: false,
            tls_params: None,
        },
        Place::Socket(path) => ConnectionAddr::Unix(path.clone()),
    };
    let mut redis = RedisConnectionInfo::default()
        .set_db(i64::from(database))
        .set_protocol(ProtocolVersion::RESP3);
    if let Some(user) = &settings.user {
        redis = redis.set_username(user);
    }
    if let Some(password) = &settings.password {
        redis = redis.set_password(password);
    }
    let info = address.into_connection_info()?;
    Ok(info
        .set_redis_settings(redis)
        .set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}
