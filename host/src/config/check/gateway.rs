//! `[gateway]`: folders, admin address, workers, logs and the defaults of plugin budgets.
//!
//! It refuses to open or create anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::super::model::{AccessLog, AccessLogSink, Budget, Gateway, Log, LogFormat};
use super::super::names::Names;
use super::super::reader::Reader;
use super::super::scope::Scope;
use super::{budget, network};
use crate::message::via::Via;

/// Most routers.
const MAX_ROUTERS: usize = 16;

/// `[gateway]`, or its defaults. `plugins` are the names of `[plugins]`.
pub(super) fn read(mut reader: Reader<'_>, plugins: &Names<'_>) -> Gateway {
    let scope = reader.scope();
    let shutdown = Duration::ZERO..=Duration::from_secs(24 * 3600);
    let gateway = Gateway {
        plugin_dir: reader.path("plugin-dir").unwrap_or_else(|| scope.path("plugins")),
        cache_dir: reader.path("cache-dir"),
        admin: admin(&mut reader, scope),
        workers: reader.optional_number("workers", 1..=1024),
        dns: super::dns::read(reader.section("dns")),
        zone: super::upstream::zone(&mut reader),
        shutdown_timeout: reader.time("shutdown-timeout", shutdown, Duration::from_secs(30)),
        log: log(reader.section("log")),
        access_log: access_log(reader.section("access-log")),
        plugin_defaults: plugin_defaults(reader.section("plugin-defaults")),
        routers: routers(&mut reader, plugins),
        via: via(&mut reader),
    };
    reader.finish();
    gateway
}

/// The name in `Via`; the empty one is none.
fn via(reader: &mut Reader<'_>) -> Option<Arc<str>> {
    let check = |name: &str| match name {
        "" => Ok(None),
        _ if Via::new(name).is_some() => Ok(Some(name.into())),
        _ => Err("a name without blanks and commas, or \"\" for no `Via`"),
    };
    reader
        .parsed("via", "a name for `Via`", check)
        .unwrap_or_else(|| Some("portcullis".into()))
}

fn admin(reader: &mut Reader<'_>, scope: &Scope<'_>) -> Option<SocketAddr> {
    let text = reader.text("admin")?;
    let address = scope.parse(&text, "a socket address", network::socket_address)?;
    if !address.ip().is_loopback() {
        let help =
            "everyone who reaches it controls the gateway: use a loopback address such as `127.0.0.1:9901`";
        scope.warning(text.at(), "the admin address is not a loopback address", help);
    }
    Some(address)
}

fn log(mut reader: Reader<'_>) -> Log {
    let log = Log {
        format: reader.choice("format", &FORMATS, LogFormat::Text),
        level: reader
            .parsed("level", "a log level", log_level)
            .unwrap_or_else(|| "info".to_owned()),
    };
    reader.finish();
    log
}

const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// A level, or directives for `EnvFilter`, which would take a misspelled level for the name of a target.
fn log_level(text: &str) -> Result<String, &'static str> {
    let help =
        "use off, error, warn, info, debug or trace, or directives such as `info,portcullis_host=debug`";
    let alone = !text.contains(['=', ',', '[']);
    if alone && text.parse::<LevelFilter>().is_err() {
        return Err(help);
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(help),
    }
}

fn access_log(mut reader: Reader<'_>) -> Option<AccessLog> {
    let scope = reader.scope();
    let format = reader.choice("format", &FORMATS, LogFormat::Json);
    let sink = match reader.text("path") {
        Some(path) if path.as_str() == "-" => AccessLogSink::Stdout,
        Some(path) if path.as_str().is_empty() => {
            scope.error_with_help(
                path.at(),
                "`path` is empty",
                "use `-` for standard output, or a file",
            );
            AccessLogSink::Stdout
        }
        Some(path) => AccessLogSink::File(scope.path(path.as_str())),
        None => AccessLogSink::Stdout,
    };
    let log = reader.is_present().then_some(AccessLog { format, sink });
    reader.finish();
    log
}

/// The key `routers` as indices of entries.
fn routers(reader: &mut Reader<'_>, plugins: &Names<'_>) -> Vec<usize> {
    let scope = reader.scope();
    let texts = reader.texts("routers", "").unwrap_or_default();
    if let Some(beyond) = texts.get(MAX_ROUTERS) {
        scope.error(beyond.at(), format!("there are at most {MAX_ROUTERS} routers"));
    }
    let mut routers = Vec::new();
    for text in texts.iter().take(MAX_ROUTERS) {
        match plugins.find(scope, text) {
            Some(index) if routers.contains(&index) => {
                scope.error(text.at(), format!("{} is listed twice", text.shown()));
            }
            found => routers.extend(found),
        }
    }
    routers
}

fn plugin_defaults(mut reader: Reader<'_>) -> Budget {
    let budget = budget::read(&mut reader, &Budget::default());
    reader.finish();
    budget
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::tests::{errors, parsed};

    use super::*;

    #[test]
    fn everything_has_a_default() {
        let gateway = parsed("").gateway;
        assert_eq!(gateway.plugin_dir, Path::new("conf/plugins"));
        assert_eq!(gateway.cache_dir, None);
        assert_eq!(gateway.admin, None);
        assert_eq!(gateway.workers, None);
        assert_eq!(gateway.shutdown_timeout, Duration::from_secs(30));
        assert_eq!(
            gateway.log,
            Log {
                format: LogFormat::Text,
                level: "info".to_owned()
            }
        );
        assert_eq!(gateway.access_log, None);
        assert_eq!(gateway.plugin_defaults, Budget::default());
        assert!(gateway.routers.is_empty());
    }

    #[test]
    fn every_key_is_read() {
        let gateway = parsed(
            "[gateway]\nplugin-dir = 'wasm'\ncache-dir = '/var/cache/p'\nadmin = '127.0.0.1:9901'\nworkers = 2\n\
             shutdown-timeout = '5s'\nlog = { format = 'json', level = 'warn,hyper=off' }\n\
             access-log = { format = 'text', path = 'access.log' }\n",
        )
        .gateway;
        assert_eq!(gateway.plugin_dir, Path::new("conf/wasm"));
        assert_eq!(gateway.cache_dir.as_deref(), Some(Path::new("/var/cache/p")));
        assert_eq!(gateway.admin, Some(([127, 0, 0, 1], 9901).into()));
        assert_eq!(gateway.workers, Some(2));
        assert_eq!(gateway.shutdown_timeout, Duration::from_secs(5));
        assert_eq!(
            gateway.log,
            Log {
                format: LogFormat::Json,
                level: "warn,hyper=off".to_owned()
            }
        );
        let sink = AccessLogSink::File("conf/access.log".into());
        assert_eq!(
            gateway.access_log,
            Some(AccessLog {
                format: LogFormat::Text,
                sink
            })
        );
    }

    #[test]
    fn an_empty_access_log_table_turns_it_on() {
        let gateway = parsed("[gateway.access-log]\n").gateway;
        let sink = AccessLogSink::Stdout;
        assert_eq!(
            gateway.access_log,
            Some(AccessLog {
                format: LogFormat::Json,
                sink
            })
        );
    }

    #[test]
    fn a_bad_address_is_refused() {
        insta::assert_snapshot!(errors("[gateway]\nadmin = 'localhost:9901'\n"), @"
        error: `localhost:9901` is not a socket address
         --> gateway.toml:2:9
          |
        2 | admin = 'localhost:9901'
          |         ^^^^^^^^^^^^^^^^
          = help: write an IP address and a port: `127.0.0.1:8080`, or `[::1]:8080` for IPv6
        ");
    }

    #[test]
    fn a_misspelled_level_is_not_taken_for_a_target() {
        insta::assert_snapshot!(errors("[gateway.log]\nlevel = 'inof'\n"), @"
        error: `inof` is not a log level
         --> gateway.toml:2:9
          |
        2 | level = 'inof'
          |         ^^^^^^
          = help: use off, error, warn, info, debug or trace, or directives such as `info,portcullis_host=debug`
        ");
    }

    #[test]
    fn numbers_have_a_range_and_a_type() {
        insta::assert_snapshot!(errors("[gateway]\nworkers = 0\nshutdown-timeout = 30\n"), @r#"
        error: `workers` must be between 1 and 1024
         --> gateway.toml:2:11
          |
        2 | workers = 0
          |           ^

        error: `shutdown-timeout` must be a duration such as "20ms", not an integer
         --> gateway.toml:3:20
          |
        3 | shutdown-timeout = 30
          |                    ^^
        "#);
    }

    #[test]
    fn routers_are_entries_in_the_order_that_they_are_asked() {
        let config = parsed("[gateway]\nrouters = ['b', 'a']\n[plugins.a]\n[plugins.b]\n");
        assert_eq!(config.gateway.routers, [1, 0]);
        let text = "[gateway]\nrouters = ['a', 'canry', 'a', 5]\n[plugins.a]\n[plugins.canary]\n";
        insta::assert_snapshot!(errors(text), @"
        error: unknown plugin `canry`
         --> gateway.toml:2:17
          |
        2 | routers = ['a', 'canry', 'a', 5]
          |                 ^^^^^^^
          = help: did you mean `canary`?

        error: `a` is listed twice
         --> gateway.toml:2:26
          |
        2 | routers = ['a', 'canry', 'a', 5]
          |                          ^^^

        error: an element of `routers` must be a string, not an integer
         --> gateway.toml:2:31
          |
        2 | routers = ['a', 'canry', 'a', 5]
          |                               ^
        ");
    }

    #[test]
    fn an_open_admin_address_is_doubtful() {
        let config = parsed("[gateway]\nadmin = '0.0.0.0:9901'\n[listeners.a]\naddress = '127.0.0.1:0'\n");
        insta::assert_snapshot!(config.warnings[0], @"
        warning: the admin address is not a loopback address
         --> conf/gateway.toml:2:9
          |
        2 | admin = '0.0.0.0:9901'
          |         ^^^^^^^^^^^^^^
          = help: everyone who reaches it controls the gateway: use a loopback address such as `127.0.0.1:9901`
        ");
    }
}
