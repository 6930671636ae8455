//! Envoy with two listeners, each before a cluster of its own of the same resource.

use std::env;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use evenkeel_eds::LocalityWeights;
use serde_json::{Value, json};

/// It is killed when this is dropped.
pub(super) struct Envoy {
    process: Child,
    listeners: [SocketAddr; 2],
}

pub(super) fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join("envoy"))
        .find(|program| program.is_file())
}

impl Envoy {
    pub(super) fn start(program: &Path, manager: SocketAddr) -> Self {
        // Both are bound until both are known.
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let listeners = free.map(|free| free.local_addr().unwrap());
        let process = Command::new(program)
            .args(["--concurrency", "1", "--disable-hot-restart"])
            .args(["-l", "error", "--config-yaml"])
            .arg(config(manager, listeners).to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, listeners }
    }

    pub(super) fn listener(&self, weights: LocalityWeights) -> SocketAddr {
        self.listeners[usize::from(weights == LocalityWeights::Multiplied)]
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn config(manager: SocketAddr, listeners: [SocketAddr; 2]) -> Value {
    json!({
        "node": { "id": "envoy", "cluster": "tests" },
        "static_resources": {
            "listeners": [
                listener("plain", listeners[0]),
                listener("by_locality", listeners[1]),
            ],
            "clusters": [
                cluster("plain", &json!({})),
                cluster("by_locality", &json!({ "locality_weighted_lb_config": {} })),
                management(manager),
            ],
        },
    })
}

fn address(address: SocketAddr) -> Value {
    let (ip, port) = (address.ip().to_string(), address.port());
    json!({ "socket_address": { "address": ip, "port_value": port } })
}

fn listener(cluster: &str, at: SocketAddr) -> Value {
    let route = json!({ "match": { "prefix": "/" }, "route": { "cluster": cluster } });
    json!({
        "address": address(at),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": cluster,
                "route_config": {
                    "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }],
                },
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                    },
                }],
            },
        }] }],
    })
}

fn cluster(name: &str, common: &Value) -> Value {
    let service = json!({ "envoy_grpc": { "cluster_name": "management" } });
    json!({
        "name": name,
        "type": "EDS",
        "lb_policy": "ROUND_ROBIN",
        "common_lb_config": common,
        "eds_cluster_config": {
            "service_name": "shop",
            "eds_config": {
                "resource_api_version": "V3",
                "api_config_source": {
                    "api_type": "GRPC",
                    "transport_api_version": "V3",
                    "grpc_services": [service],
                },
            },
        },
    })
}

fn management(at: SocketAddr) -> Value {
    let endpoint = json!({ "endpoint": { "address": address(at) } });
    json!({
        "name": "management",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "management",
            "endpoints": [{ "lb_endpoints": [endpoint] }],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        },
    })
}
