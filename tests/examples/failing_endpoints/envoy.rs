//! Envoy as a child process, with what comes nearest to the gateway's settings. It knows nothing of load.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use portcullis_tests::patience::eventually;
use portcullis_tests::{Request, client, port};
use serde_json::{Value, json};

/// Killed when it is dropped.
pub(crate) struct Envoy {
    child: Child,
    address: SocketAddr,
    route: Value,
    cluster: Value,
}

impl Envoy {
    /// Starts it, and waits until it answers.
    pub(crate) async fn start(binary: &str, endpoints: &[SocketAddr]) -> Self {
        let address = port::later();
        let (route, cluster) = (route(), cluster(endpoints));
        let config = config(address, &route, &cluster);
        let child = Command::new(binary)
            .args(["--config-yaml", &config.to_string()])
            .args(["--concurrency", "2", "--disable-hot-restart", "-l", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("an Envoy that starts");
        let envoy = Self {
            child,
            address,
            route,
            cluster,
        };
        eventually("an Envoy that answers", async || {
            let answer = client::send(address, &Request::get("/")).await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
        envoy
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was told to do, without listener and addresses.
    pub(crate) fn shown(&self) -> String {
        let mut cluster = self.cluster.clone();
        if let Some(fields) = cluster.as_object_mut() {
            fields.remove("load_assignment");
        }
        format!("{}\n{cluster}", self.route)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `gateway-error` covers a try whose time is over. `previous_hosts` is what the gateway does unasked: another endpoint.
fn route() -> Value {
    json!({
        "cluster": "up", "timeout": "2s",
        "retry_policy": {
            "retry_on": "connect-failure,reset,gateway-error", "num_retries": 2, "per_try_timeout": "0.5s",
            "retry_host_predicate": [{
                "name": "previous_hosts",
                "typed_config": { "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate" },
            }],
            "host_selection_retry_max_attempts": 5,
        },
    })
}

/// The interval of `outlier_detection` is that in which ejected endpoints may come back; that without traffic is the one of
/// checks before the first request.
fn cluster(endpoints: &[SocketAddr]) -> Value {
    let hosts: Vec<_> = endpoints
        .iter()
        .map(|endpoint| json!({ "endpoint": { "address": socket(*endpoint) } }))
        .collect();
    json!({
        "name": "up", "type": "STATIC", "lb_policy": "LEAST_REQUEST", "connect_timeout": "0.5s",
        "health_checks": [{
            "timeout": "0.25s", "interval": "0.5s", "no_traffic_interval": "0.5s",
            "unhealthy_threshold": 2, "healthy_threshold": 2, "http_health_check": { "path": "/health" },
        }],
        "outlier_detection": {
            "consecutive_gateway_failure": 3, "enforcing_consecutive_gateway_failure": 100,
            "interval": "0.5s", "base_ejection_time": "2s", "max_ejection_percent": 50,
        },
        "circuit_breakers": { "thresholds": [{
            "retry_budget": { "budget_percent": { "value": 20 }, "min_retry_concurrency": 10 },
        }] },
        "load_assignment": { "cluster_name": "up", "endpoints": [{ "lb_endpoints": hosts }] },
    })
}

fn config(listen: SocketAddr, route: &Value, cluster: &Value) -> Value {
    let router = json!({
        "name": "router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "all",
        "route_config": { "virtual_hosts": [{
            "name": "all", "domains": ["*"], "routes": [{ "match": { "prefix": "/" }, "route": route }],
        }] },
        "http_filters": [router],
    });
    json!({ "static_resources": {
        "listeners": [{
            "name": "all", "address": socket(listen),
            "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
        }],
        "clusters": [cluster],
    } })
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}
