use std::fmt;

use k8s_openapi::api::discovery::v1::EndpointPort;

/// Which port of a Service's endpoints.
///
/// # Examples
///
/// ```
/// use evenkeel_kubernetes::Port;
///
/// assert_eq!(Port::from("http"), Port::Name("http".into()));
/// assert_eq!(Port::from(8080), Port::Number(8080));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Port {
    /// The only one that there is. The default.
    #[default]
    Only,
    /// The one with this name in the Service; an empty text is one without a name.
    Name(String),
    /// The one on which the pods listen: the Service's `targetPort`, which need not be its `port`.
    Number(u16),
}

impl From<&str> for Port {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Port {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<u16> for Port {
    fn from(number: u16) -> Self {
        Self::Number(number)
    }
}

impl Port {
    /// Returns the number that a slice's endpoints have it under, or why there is none.
    pub(crate) fn among(&self, ports: &[EndpointPort]) -> Result<u16, String> {
        let tcp = |port: &&EndpointPort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
        let mut matching = ports.iter().filter(tcp).filter(|port| match self {
            Self::Only => true,
            Self::Name(name) => port.name.as_deref().unwrap_or_default() == name,
            Self::Number(number) => port.port == Some(i32::from(*number)),
        });
        let Some(found) = matching.next() else {
            return Err(format!("it has no {self}"));
        };
        // Two names of one number lead to one place.
        if matching.any(|port| port.port != found.port) {
            return Err("it has several TCP ports, and none was chosen".to_owned());
        }
        match found.port {
            Some(number) => u16::try_from(number)
                .ok()
                .filter(|&number| number > 0)
                .ok_or_else(|| format!("its port {number} is not from 1 to 65535")),
            None => Err(format!("its {self} has no number")),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only => f.write_str("TCP port"),
            Self::Name(name) => write!(f, "TCP port {name:?}"),
            Self::Number(number) => write!(f, "TCP port {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::discovery::v1::EndpointPort;

    use super::Port;

    fn port(name: Option<&str>, port: Option<i32>, protocol: Option<&str>) -> EndpointPort {
        EndpointPort {
            name: name.map(str::to_owned),
            port,
            protocol: protocol.map(str::to_owned),
            ..EndpointPort::default()
        }
    }

    #[test]
    fn a_port_is_found_by_its_name_its_number_or_being_alone() {
        let one = [
            port(None, Some(80), None),
            port(None, Some(53), Some("UDP")),
        ];
        assert_eq!(Port::Only.among(&one), Ok(80));
        assert_eq!(Port::from("").among(&one), Ok(80));
        assert_eq!(Port::from(80).among(&one), Ok(80));
        assert!(Port::from(53).among(&one).is_err());
        let two = [
            port(Some("http"), Some(80), Some("TCP")),
            port(Some("admin"), Some(9000), Some("TCP")),
        ];
        assert_eq!(Port::from("admin").among(&two), Ok(9000));
        assert!(Port::Only.among(&two).unwrap_err().contains("several"));
        assert!(
            Port::from("grpc")
                .among(&two)
                .unwrap_err()
                .contains("\"grpc\"")
        );
    }

    #[test]
    fn a_port_that_is_none_is_refused() {
        for number in [0, -1, 65_536, i32::MAX] {
            let ports = [port(None, Some(number), None)];
            assert!(Port::Only.among(&ports).is_err(), "{number}");
        }
        assert!(Port::Only.among(&[port(None, None, None)]).is_err());
        assert!(Port::Only.among(&[]).is_err());
    }
}
