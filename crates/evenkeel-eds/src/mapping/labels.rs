use envoy_types::pb::envoy::config::core::v3::{HealthStatus, Metadata};
use envoy_types::pb::envoy::config::endpoint::v3::{Endpoint, LbEndpoint, LocalityLbEndpoints};
use evenkeel::Backend;
use evenkeel::backend::Hint;

use super::address::{protocol, written};
use super::text::text;

/// What a locality says of all of its endpoints.
pub(super) fn of_locality<V>(
    mut backend: Backend<V>,
    locality: &LocalityLbEndpoints,
) -> Backend<V> {
    if locality.priority > 0 {
        backend = backend.priority(locality.priority);
    }
    if let Some(place) = &locality.locality {
        if !place.zone.is_empty() {
            backend = backend.zone(&*place.zone);
        }
        backend = label(backend, "envoy.region", &place.region);
        backend = label(backend, "envoy.sub_zone", &place.sub_zone);
    }
    if let Some(weight) = locality.load_balancing_weight {
        backend = backend.metadata("envoy.locality_weight", weight.value.to_string());
    }
    if let Some(proximity) = locality.proximity {
        backend = backend.metadata("envoy.proximity", proximity.value.to_string());
    }
    metadata(backend, "envoy.locality/", locality.metadata.as_ref())
}

/// What an endpoint says, beside its address and its weight.
pub(super) fn of_endpoint<V>(
    mut backend: Backend<V>,
    outer: &LbEndpoint,
    endpoint: &Endpoint,
) -> Backend<V> {
    let (hint, name) = health(outer.health_status);
    if hint != Hint::Healthy {
        backend = backend.hint(hint);
    }
    if outer.health_status != HealthStatus::Unknown as i32 {
        backend = backend.metadata("envoy.health_status", name);
    }
    if let Some(protocol) = endpoint.address.as_ref().and_then(protocol) {
        backend = backend.metadata("envoy.protocol", protocol);
    }
    backend = label(backend, "envoy.hostname", &endpoint.hostname);
    backend = label(
        backend,
        "envoy.observability_name",
        &endpoint.observability_name,
    );
    let others: Vec<_> = endpoint
        .additional_addresses
        .iter()
        .filter_map(|other| other.address.as_ref())
        .map(written)
        .collect();
    backend = label(backend, "envoy.additional_addresses", &others.join(","));
    if let Some(check) = &endpoint.health_check_config {
        if check.port_value > 0 {
            backend = backend.metadata("envoy.health_check.port", check.port_value.to_string());
        }
        backend = label(backend, "envoy.health_check.hostname", &check.hostname);
        if let Some(address) = &check.address {
            backend = label(backend, "envoy.health_check.address", &written(address));
        }
        if check.disable_active_health_check {
            backend = backend.metadata("envoy.health_check.disabled", "true");
        }
    }
    metadata(backend, "", outer.metadata.as_ref())
}

/// What it means to a pool, and how Envoy calls it.
fn health(status: i32) -> (Hint, String) {
    let Ok(known) = HealthStatus::try_from(status) else {
        // As Envoy does with what it does not know.
        return (Hint::Healthy, status.to_string());
    };
    let hint = match known {
        HealthStatus::Unknown | HealthStatus::Healthy => Hint::Healthy,
        HealthStatus::Degraded => Hint::Degraded,
        HealthStatus::Unhealthy | HealthStatus::Timeout => Hint::Unhealthy,
        HealthStatus::Draining => Hint::Draining,
    };
    (hint, known.as_str_name().to_owned())
}

fn label<V>(backend: Backend<V>, key: &str, value: &str) -> Backend<V> {
    if value.is_empty() {
        return backend;
    }
    backend.metadata(key, value)
}

fn metadata<V>(mut backend: Backend<V>, prefix: &str, metadata: Option<&Metadata>) -> Backend<V> {
    let Some(metadata) = metadata else {
        return backend;
    };
    let mut entries = Vec::new();
    for (filter, fields) in &metadata.filter_metadata {
        for (key, value) in &fields.fields {
            entries.push((format!("{prefix}{filter}/{key}"), text(value)));
        }
    }
    for (filter, typed) in &metadata.typed_filter_metadata {
        entries.push((format!("{prefix}{filter}/@type"), typed.type_url.clone()));
    }
    // Where two are called the same, it is always the same one that counts.
    entries.sort_unstable();
    for (key, value) in entries {
        backend = backend.metadata(key, value);
    }
    backend
}
