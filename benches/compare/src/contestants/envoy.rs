//! Envoy: one worker, no access log, no request ids, no headers of its own.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::{ATTEMPT, Backend, CONNECT, Contestant, Place};

pub(super) const ABOUT: &str = "\
    **Envoy**: `--concurrency 1`, circuit breakers out of the way, no access log, request ids or headers of its own. \
    Retried, checked, outliers out is: `retry_on connect-failure,refused-stream,reset,gateway-error`, 3 retries after 5 ms \
    on another host, `per_try_timeout 1s`; health checks of / each 0.5 s, down after 2, up after 1; ejection after 2 \
    failures for 1 s, at most half. Hedged is `hedge_on_per_try_timeout` with `per_try_timeout 0.1s`.";

#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) label: &'static str,
    policy: &'static str,
    care: Option<Care>,
}

/// Retries on another host, health checks and outlier detection.
#[derive(Clone, Copy)]
struct Care {
    attempt: Duration,
    /// Whether an attempt that takes too long goes on beside the next.
    hedged: bool,
}

pub(crate) const ROUND_ROBIN: Contestant = setting("ROUND_ROBIN", "ROUND_ROBIN", None);
pub(crate) const LEAST_REQUEST: Contestant = setting("LEAST_REQUEST", "LEAST_REQUEST", None);
pub(crate) const CAREFUL: Contestant = setting(
    "LEAST_REQUEST, retried, checked, outliers out",
    "LEAST_REQUEST",
    Some(Care {
        attempt: ATTEMPT,
        hedged: false,
    }),
);
/// Its remedy for what hangs: a second request beside the first after a tenth of a second.
pub(crate) const HEDGED: Contestant = setting(
    "LEAST_REQUEST, the same, hedged after 0.1 s",
    "LEAST_REQUEST",
    Some(Care {
        attempt: Duration::from_millis(100),
        hedged: true,
    }),
);

const fn setting(label: &'static str, policy: &'static str, care: Option<Care>) -> Contestant {
    Contestant::Envoy(Setting {
        label,
        policy,
        care,
    })
}

/// As Envoy's configuration wants it.
fn seconds(duration: Duration) -> String {
    format!("{:.3}s", duration.as_secs_f64())
}

impl Setting {
    pub(super) fn command(self, place: &Place<'_>) -> Result<Command> {
        let envoy = place.tools.envoy.as_ref().map_err(|why| anyhow!("{why}"))?;
        let config = place.folder.join("envoy.json");
        fs::write(&config, self.config(place).to_string())?;
        let mut command = Command::new(&envoy.path);
        command
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "error"])
            .arg("-c")
            .arg(&config);
        Ok(command)
    }

    fn config(self, place: &Place<'_>) -> Value {
        let manager = json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "clients",
            "codec_type": "HTTP1",
            "use_remote_address": true,
            "generate_request_id": false,
            "route_config": {
                "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [self.route()] }],
            },
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": true,
                },
            }],
        });
        let listen = socket_address(place.listen.ip().to_string(), place.listen.port());
        json!({ "static_resources": {
            "listeners": [{
                "address": listen,
                "tcp_backlog_size": 4096,
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": manager,
                }] }],
            }],
            "clusters": [self.cluster(place.backends)],
        } })
    }

    fn route(self) -> Value {
        let mut action = json!({ "cluster": "servers", "timeout": "30s" });
        if let Some(care) = self.care {
            action["retry_policy"] = json!({
                "retry_on": "connect-failure,refused-stream,reset,gateway-error",
                "num_retries": 3,
                "per_try_timeout": seconds(care.attempt),
                "retry_back_off": { "base_interval": "0.005s", "max_interval": "0.050s" },
                "host_selection_retry_max_attempts": 5,
                "retry_host_predicate": [{
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
                    },
                }],
            });
            if care.hedged {
                action["hedge_policy"] = json!({ "hedge_on_per_try_timeout": true });
            }
        }
        json!({ "match": { "prefix": "/" }, "route": action })
    }

    fn cluster(self, backends: &[Backend]) -> Value {
        let endpoints: Vec<_> = backends
            .iter()
            .map(|backend| {
                let address = backend.address;
                json!({
                    "endpoint": { "address": socket_address(address.ip().to_string(), address.port()) },
                    "load_balancing_weight": backend.weight,
                })
            })
            .collect();
        let mut cluster = json!({
            "name": "servers",
            "type": "STATIC",
            "connect_timeout": seconds(CONNECT),
            "lb_policy": self.policy,
            "circuit_breakers": { "thresholds": [{
                "max_connections": 100_000,
                "max_pending_requests": 100_000,
                "max_requests": 100_000,
                "max_retries": 1000,
            }] },
            "load_assignment": { "cluster_name": "servers", "endpoints": [{ "lb_endpoints": endpoints }] },
        });
        if self.care.is_some() {
            cluster["health_checks"] = json!([{
                "timeout": "0.5s",
                "interval": "0.5s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 1,
                "http_health_check": { "path": "/" },
            }]);
            cluster["outlier_detection"] = json!({
                "consecutive_5xx": 2,
                "enforcing_consecutive_5xx": 100,
                "consecutive_gateway_failure": 2,
                "enforcing_consecutive_gateway_failure": 100,
                "interval": "0.5s",
                "base_ejection_time": "1s",
                "max_ejection_time": "5s",
                "max_ejection_percent": 50,
            });
        }
        cluster
    }
}

fn socket_address(address: String, port: u16) -> Value {
    json!({ "socket_address": { "address": Value::from(address), "port_value": port } })
}
