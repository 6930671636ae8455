//! Messages of the protocol.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::SocketAddr;

use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, HealthStatus, Locality, SocketAddress};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryResponse, DiscoveryResponse, Resource,
};
use envoy_types::pb::google::protobuf::{Any, UInt32Value};
use prost::{Message, Name};

pub(crate) fn endpoint(address: &str) -> LbEndpoint {
    let address: SocketAddr = address.parse().unwrap();
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(socket_address(&address.ip().to_string(), address.port())),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    }
}

pub(crate) fn weighted(address: &str, weight: u32) -> LbEndpoint {
    LbEndpoint {
        load_balancing_weight: Some(UInt32Value { value: weight }),
        ..endpoint(address)
    }
}

pub(crate) fn with_health(address: &str, health: HealthStatus) -> LbEndpoint {
    LbEndpoint {
        health_status: health as i32,
        ..endpoint(address)
    }
}

pub(crate) fn socket_address(address: &str, port: u16) -> Address {
    Address {
        address: Some(AddressKind::SocketAddress(SocketAddress {
            address: address.to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(u32::from(port))),
            ..SocketAddress::default()
        })),
    }
}

/// A locality of one zone.
pub(crate) fn zone(
    zone: &str,
    priority: u32,
    endpoints: impl IntoIterator<Item = LbEndpoint>,
) -> LocalityLbEndpoints {
    LocalityLbEndpoints {
        locality: Some(Locality {
            region: "here".into(),
            zone: zone.into(),
            sub_zone: String::new(),
        }),
        priority,
        lb_endpoints: endpoints.into_iter().collect(),
        ..LocalityLbEndpoints::default()
    }
}

pub(crate) fn assignment(
    cluster: &str,
    endpoints: impl IntoIterator<Item = LocalityLbEndpoints>,
) -> ClusterLoadAssignment {
    ClusterLoadAssignment {
        cluster_name: cluster.into(),
        endpoints: endpoints.into_iter().collect(),
        ..ClusterLoadAssignment::default()
    }
}

/// Of one locality, of endpoints that only have an address.
pub(crate) fn plain(cluster: &str, addresses: &[&str]) -> ClusterLoadAssignment {
    let endpoints = addresses.iter().map(|address| endpoint(address));
    assignment(cluster, [zone("a", 0, endpoints)])
}

pub(crate) fn any(message: &ClusterLoadAssignment) -> Any {
    Any {
        type_url: ClusterLoadAssignment::type_url(),
        value: message.encode_to_vec(),
    }
}

pub(crate) fn response(
    version: &str,
    nonce: &str,
    resources: impl IntoIterator<Item = Any>,
) -> DiscoveryResponse {
    DiscoveryResponse {
        version_info: version.into(),
        nonce: nonce.into(),
        type_url: ClusterLoadAssignment::type_url(),
        resources: resources.into_iter().collect(),
        ..DiscoveryResponse::default()
    }
}

pub(crate) fn resource(version: &str, message: &ClusterLoadAssignment) -> Resource {
    Resource {
        name: message.cluster_name.clone(),
        version: version.into(),
        resource: Some(any(message)),
        ..Resource::default()
    }
}

pub(crate) fn delta_response(
    nonce: &str,
    resources: impl IntoIterator<Item = Resource>,
    removed: &[&str],
) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        nonce: nonce.into(),
        system_version_info: nonce.into(),
        type_url: ClusterLoadAssignment::type_url(),
        resources: resources.into_iter().collect(),
        removed_resources: removed.iter().map(|&name| name.to_owned()).collect(),
        ..DeltaDiscoveryResponse::default()
    }
}
