//! `[store.NAME]`: where a Redis or Valkey is, who the gateway is there, and how long a command may take.
//!
//! It refuses to connect to one.

use std::sync::Arc;
use std::time::Duration;

use super::super::model::{Secret, Store, StoreAddress, StorePlace, StoreServers};
use super::super::names::Names;
use super::super::reader::{Named, Reader};
use super::super::scope::Scope;
use super::super::secret::Text;
use super::{network, tls};

/// Most nodes that are named of a cluster.
const MAX_NODES: usize = 64;
/// Longest prefix of keys, in bytes.
const MAX_PREFIX: usize = 128;
/// The port of a server whose address has none.
const PORT: u16 = 6379;

/// The stores, by name.
pub(super) struct Stores<'a> {
    pub(super) names: Names<'a>,
    list: Vec<Option<Arc<Store>>>,
}

impl<'a> Stores<'a> {
    /// The stores of `[store.NAME]`.
    pub(super) fn read(stores: Vec<Named<'a>>) -> Self {
        Self {
            names: super::names("store", "store", &stores),
            list: stores
                .into_iter()
                .map(|named| read(named).map(Arc::new))
                .collect(),
        }
    }

    /// The store that a grant names. Reports an unknown one.
    pub(super) fn find(&self, scope: &Scope<'_>, name: &Text) -> Option<Arc<Store>> {
        let index = self.names.find(scope, name)?;
        self.list.get(index)?.clone()
    }
}

/// One store; none where it cannot be known where it is.
fn read(Named { name, mut reader }: Named<'_>) -> Option<Store> {
    let scope = reader.scope();
    let times = || Duration::from_millis(1)..=Duration::from_secs(60);
    let servers = servers(&mut reader);
    let ca = reader.text("ca");
    if let Some(text) = &ca {
        tls::check_trust(scope, text);
    }
    let password = reader.text("password");
    if let Some(text) = password.as_ref().filter(|text| !text.is_secret()) {
        let help = "keep it elsewhere: `password = { env = \"NAME\" }` or `{ file = \"PATH\" }`";
        scope.warning(text.at(), "the password stands in the file", help);
    }
    let prefix = reader.parsed("key-prefix", "a prefix of keys", |prefix: &str| {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}');
        if prefix.len() <= MAX_PREFIX && prefix.bytes().all(plain) {
            Ok(prefix.to_owned())
        } else {
            Err("use at most 128 printable ASCII characters, without `{` and `}`: they choose the node of a cluster")
        }
    });
    let secret = |text: Text| Secret(text.as_str().to_owned());
    let store = Store {
        name: name.into(),
        servers: servers.unwrap_or_else(|| StoreServers::Cluster(Vec::new())),
        ca: ca.map(secret),
        user: reader.text("user").map(secret),
        password: password.map(secret),
        key_prefix: prefix.unwrap_or_else(|| "portcullis:".to_owned()),
        timeout: reader.time("timeout", times(), Duration::from_millis(20)),
        connect_timeout: reader.time("connect-timeout", times(), Duration::from_secs(1)),
        max_pending: reader.number("max-pending", 1..=100_000, 1024),
    };
    reader.finish();
    let known = !matches!(&store.servers, StoreServers::Cluster(nodes) if nodes.is_empty());
    known.then_some(store)
}

/// `url` or `cluster`.
fn servers(reader: &mut Reader<'_>) -> Option<StoreServers> {
    let scope = reader.scope();
    let help = "for example `url = \"redis://127.0.0.1:6379/0\"`, or `cluster = [\"redis://10.0.0.1:6379\"]`";
    if reader.has_any(&["url"]) == reader.has_any(&["cluster"]) {
        let at = reader.at().clone();
        scope.error_with_help(&at, "a store has either a `url` or a `cluster`", help);
    }
    let url = reader.parsed("url", "the address of a store", address);
    let nodes = reader.texts("cluster", help);
    let Some(nodes) = nodes else {
        return url.map(StoreServers::One);
    };
    if let Some(beyond) = nodes.get(MAX_NODES) {
        scope.error(beyond.at(), format!("at most {MAX_NODES} nodes are named"));
    }
    let with_tls = |address: &StoreAddress| matches!(address.place, StorePlace::Tls(_));
    let mut known: Vec<StoreAddress> = Vec::new();
    for text in &nodes {
        let Some(address) = scope.parse(text, "the address of a node", node) else {
            continue;
        };
        if known
            .first()
            .is_some_and(|first| with_tls(first) != with_tls(&address))
        {
            scope.error(
                text.at(),
                "nodes of one cluster are all `redis://` or all `rediss://`",
            );
        }
        known.push(address);
    }
    (!known.is_empty()).then_some(StoreServers::Cluster(known))
}

/// A node of a cluster.
fn node(text: &str) -> Result<StoreAddress, &'static str> {
    let address = address(text)?;
    match address.place {
        StorePlace::Socket(_) => Err("nodes of a cluster are reached by TCP"),
        _ if address.database != 0 => Err("a cluster has only the database 0"),
        _ => Ok(address),
    }
}

/// `redis://HOST[:PORT][/DATABASE]`, `rediss://..` or `unix:///PATH[?db=DATABASE]`; `valkey://` and `valkeys://` are the same.
fn address(text: &str) -> Result<StoreAddress, &'static str> {
    let form = "write `redis://HOST:PORT/DATABASE`, `rediss://HOST:PORT/DATABASE` (TLS) or `unix:///PATH?db=DATABASE`";
    let (scheme, rest) = text.split_once("://").ok_or(form)?;
    let number = |text: &str| match text {
        "" => Ok(0),
        text => text
            .parse::<u16>()
            .map_err(|_| "a database is a number, 0 for the first"),
    };
    if scheme == "unix" {
        let (path, database) = rest.split_once("?db=").unwrap_or((rest, ""));
        if !path.starts_with('/') || path.contains('?') {
            return Err("write the whole path of the socket: `unix:///run/redis.sock`");
        }
        return Ok(StoreAddress {
            place: StorePlace::Socket(path.into()),
            database: number(database)?,
        });
    }
    if rest.contains('@') {
        return Err("leave out who the gateway is there: that is said by `user` and `password`");
    }
    if rest.contains(['?', '#']) {
        return Err(form);
    }
    let (host, database) = rest.split_once('/').unwrap_or((rest, ""));
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let endpoint = if has_port {
        network::endpoint(host)
    } else {
        network::endpoint(&format!("{host}:{PORT}"))
    };
    let endpoint = endpoint.map_err(|_| form)?;
    let place = match scheme {
        "redis" | "valkey" => StorePlace::Clear(endpoint),
        "rediss" | "valkeys" => StorePlace::Tls(endpoint),
        _ => return Err(form),
    };
    Ok(StoreAddress {
        place,
        database: number(database)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{errors, parsed};

    #[test]
    fn an_address_is_a_scheme_a_place_and_a_database() {
        let shown =
            |text: &str| address(text).map(|address| format!("{} {}", address.place, address.database));
        for (text, want) in [
            ("redis://Cache.internal", "redis://cache.internal:6379 0"),
            ("valkey://127.0.0.1:7000/3", "redis://127.0.0.1:7000 3"),
            ("rediss://[::1]:7000/", "rediss://[::1]:7000 0"),
            ("valkeys://[::1]", "rediss://[::1]:6379 0"),
            ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock 2"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(want), "{text}");
        }
        for wrong in [
            "",
            "cache:6379",
            "http://cache",
            "redis://",
            "redis://cache/one",
            "redis://:word@cache",
            "redis://cache?db=1",
            "unix://run/redis.sock",
            "unix:///run/redis.sock?x=1",
        ] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_grant_brings_the_settings_of_its_store() {
        let config = parsed(
            "[plugins.a.allow]\nstore = 'limits'\n[store.limits]\nurl = 'redis://127.0.0.1'\nuser = 'gateway'\ntimeout = '5ms'\n",
        );
        let grants = &config.plugins[0].grants;
        assert_eq!(grants.shown(), ["store limits"]);
        assert_eq!(grants.waits(), ["cluster-counters", "cluster-map"]);
        let store = grants.store.as_ref().unwrap();
        assert_eq!(
            (store.timeout, store.max_pending),
            (Duration::from_millis(5), 1024)
        );
        assert_eq!(store.key_prefix, "portcullis:");
        assert!(format!("{store:?}").contains("user: Some([masked])"));
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_place() {
        insta::assert_snapshot!(errors(
            "[plugins.a.allow]\nstore = 'limit'\n\
             [store.limits]\nurl = 'redis://:word@127.0.0.1'\n\
             [store.both]\nurl = 'redis://127.0.0.1'\ncluster = ['redis://127.0.0.1', 'rediss://127.0.0.2', 'unix:///x']\n\
             [store.none]\nkey-prefix = '{a}'\ntimeout = '0s'\n"), @r#"
        error: unknown store `limit`
         --> gateway.toml:2:9
          |
        2 | store = 'limit'
          |         ^^^^^^^
          = help: did you mean `limits`?

        error: `redis://:word@127.0.0.1` is not the address of a store
         --> gateway.toml:4:7
          |
        4 | url = 'redis://:word@127.0.0.1'
          |       ^^^^^^^^^^^^^^^^^^^^^^^^^
          = help: leave out who the gateway is there: that is said by `user` and `password`

        error: a store has either a `url` or a `cluster`
         --> gateway.toml:5:8
          |
        5 | [store.both]
          |        ^^^^
          = help: for example `url = "redis://127.0.0.1:6379/0"`, or `cluster = ["redis://10.0.0.1:6379"]`

        error: nodes of one cluster are all `redis://` or all `rediss://`
         --> gateway.toml:7:33
          |
        7 | cluster = ['redis://127.0.0.1', 'rediss://127.0.0.2', 'unix:///x']
          |                                 ^^^^^^^^^^^^^^^^^^^^

        error: `unix:///x` is not the address of a node
         --> gateway.toml:7:55
          |
        7 | cluster = ['redis://127.0.0.1', 'rediss://127.0.0.2', 'unix:///x']
          |                                                       ^^^^^^^^^^^
          = help: nodes of a cluster are reached by TCP

        error: a store has either a `url` or a `cluster`
         --> gateway.toml:8:8
          |
        8 | [store.none]
          |        ^^^^
          = help: for example `url = "redis://127.0.0.1:6379/0"`, or `cluster = ["redis://10.0.0.1:6379"]`

        error: `{a}` is not a prefix of keys
         --> gateway.toml:9:14
          |
        9 | key-prefix = '{a}'
          |              ^^^^^
          = help: use at most 128 printable ASCII characters, without `{` and `}`: they choose the node of a cluster

        error: `timeout` must be between 1ms and 1m
          --> gateway.toml:10:11
           |
        10 | timeout = '0s'
           |           ^^^^
        "#);
    }
}
