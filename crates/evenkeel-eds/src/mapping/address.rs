use std::net::{IpAddr, SocketAddr};

use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::socket_address::{PortSpecifier, Protocol};
use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress};

/// Where an endpoint listens, or why this does not say it.
pub(super) fn socket_address(address: Option<&Address>) -> Result<SocketAddr, String> {
    match address.and_then(|address| address.address.as_ref()) {
        None => Err("it has no address".into()),
        Some(Kind::Pipe(pipe)) => Err(format!("it is a pipe, {:?}", pipe.path)),
        Some(Kind::EnvoyInternalAddress(_)) => Err("it is an address inside of Envoy".into()),
        Some(Kind::SocketAddress(address)) => ip_and_port(address),
    }
}

fn ip_and_port(address: &SocketAddress) -> Result<SocketAddr, String> {
    if !address.resolver_name.is_empty() {
        return Err(format!("it needs the resolver {:?}", address.resolver_name));
    }
    if !address.network_namespace_filepath.is_empty() {
        let namespace = &address.network_namespace_filepath;
        return Err(format!("it is in the network namespace {namespace:?}"));
    }
    let ip: IpAddr = address
        .address
        .parse()
        .map_err(|_| format!("{:?} is not an IP address", address.address))?;
    let port = match &address.port_specifier {
        None => return Err("it has no port".into()),
        Some(PortSpecifier::NamedPort(name)) => {
            return Err(format!("its port is a name, {name:?}"));
        }
        Some(PortSpecifier::PortValue(port)) => u16::try_from(*port)
            .ok()
            .filter(|&port| port > 0)
            .ok_or_else(|| format!("its port is {port}"))?,
    };
    Ok(SocketAddr::new(ip, port))
}

/// As it was written, for people: it may be none that can be used.
pub(super) fn written(address: &Address) -> String {
    match &address.address {
        None => "no address".into(),
        Some(Kind::Pipe(pipe)) => format!("pipe {}", pipe.path),
        Some(Kind::EnvoyInternalAddress(_)) => "an address inside of Envoy".into(),
        Some(Kind::SocketAddress(socket)) => match socket_address(Some(address)) {
            Ok(usual) => usual.to_string(),
            Err(_) => match &socket.port_specifier {
                None => socket.address.clone(),
                Some(PortSpecifier::NamedPort(name)) => format!("{}:{name}", socket.address),
                Some(PortSpecifier::PortValue(port)) => format!("{}:{port}", socket.address),
            },
        },
    }
}

/// What the address says of the protocol, where that is not TCP. Envoy ignores it.
pub(super) fn protocol(address: &Address) -> Option<String> {
    let Some(Kind::SocketAddress(socket)) = &address.address else {
        return None;
    };
    match Protocol::try_from(socket.protocol) {
        Ok(Protocol::Tcp) => None,
        Ok(other) => Some(other.as_str_name().to_owned()),
        Err(_) => Some(socket.protocol.to_string()),
    }
}
