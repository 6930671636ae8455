use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::google::protobuf::{Struct, Value, value::Kind};

/// Who asks: what a management server is told of this client, at the beginning of each stream.
///
/// Many servers choose by the id or the cluster which endpoints a client gets.
///
/// # Examples
///
/// ```
/// use evenkeel_eds::Node;
///
/// let node = Node::new("shop-7f9c")
///     .cluster("shop")
///     .locality("eu-west-1", "eu-west-1a", "")
///     .metadata("NAMESPACE", "prod");
/// assert_eq!(node.id(), "shop-7f9c");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Node {
    id: String,
    cluster: String,
    locality: Option<[String; 3]>,
    metadata: Vec<(String, String)>,
}

impl Node {
    /// A node of this id, without a cluster, a locality and metadata.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            cluster: String::new(),
            locality: None,
            metadata: Vec::new(),
        }
    }

    /// Sets the cluster of clients that it belongs to. Default: none.
    pub fn cluster(mut self, cluster: impl Into<String>) -> Self {
        self.cluster = cluster.into();
        self
    }

    /// Sets where it runs; what is not known is left empty. Default: nothing is said.
    pub fn locality(
        mut self,
        region: impl Into<String>,
        zone: impl Into<String>,
        sub_zone: impl Into<String>,
    ) -> Self {
        self.locality = Some([region.into(), zone.into(), sub_zone.into()]);
        self
    }

    /// Adds one entry of metadata, a text.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Returns the id.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn message(&self) -> core::Node {
        let locality = self.locality.clone();
        let fields = self.metadata.iter().map(|(key, value)| {
            let kind = Some(Kind::StringValue(value.clone()));
            (key.clone(), Value { kind })
        });
        let fields: HashMap<_, _> = fields.collect();
        core::Node {
            id: self.id.clone(),
            cluster: self.cluster.clone(),
            locality: locality.map(|[region, zone, sub_zone]| core::Locality {
                region,
                zone,
                sub_zone,
            }),
            metadata: (!fields.is_empty()).then_some(Struct { fields }),
            user_agent_name: "evenkeel".into(),
            user_agent_version_type: Some(core::node::UserAgentVersionType::UserAgentVersion(
                env!("CARGO_PKG_VERSION").into(),
            )),
            // How a server learns that it may wrap resources of the state of the world, to give
            // them a time to live.
            client_features: vec!["xds.config.supports-resource-ttl".into()],
            ..core::Node::default()
        }
    }
}

impl Default for Node {
    /// The id `evenkeel`.
    fn default() -> Self {
        Self::new("evenkeel")
    }
}
