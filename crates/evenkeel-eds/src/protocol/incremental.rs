use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use prost::Name;

use super::{Answer, Given, News, Protocol, Wanted, refusal};

/// `DeltaEndpoints`: a response has only the resources that have changed, each with a version of its
/// own, and names those that are no more. An assignment is one resource: it is always whole.
pub(crate) struct Incremental {
    wanted: Wanted,
}

impl Incremental {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self { wanted }
    }
}

impl Protocol for Incremental {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn hello(&mut self, node: core::Node, version: Option<&str>) -> DeltaDiscoveryRequest {
        let name = self.wanted.resource.to_string();
        let version = version.map(|version| (name.clone(), version.to_owned()));
        DeltaDiscoveryRequest {
            node: Some(node),
            type_url: ClusterLoadAssignment::type_url(),
            resource_names_subscribe: vec![name],
            initial_resource_versions: version.into_iter().collect(),
            ..DeltaDiscoveryRequest::default()
        }
    }

    fn answer(&mut self, response: DeltaDiscoveryResponse) -> Answer<DeltaDiscoveryRequest> {
        let trouble = self.wanted.trouble(response.resource_errors);
        let given = response.resources.into_iter();
        let given = given.map(|resource| Ok(Given::wrapped(resource, None)));
        // What only says what is gone needs no type.
        let found = if given.len() == 0 && response.type_url.is_empty() {
            Ok(News::Nothing)
        } else {
            self.wanted.find(&response.type_url, given)
        };
        let is_gone = response
            .removed_resources
            .iter()
            .chain(
                response
                    .removed_resource_names
                    .iter()
                    .map(|name| &name.name),
            )
            .any(|name| *name == *self.wanted.resource);
        let (news, error_detail) = match found {
            Ok(News::Nothing) if is_gone => (News::Gone, None),
            Ok(news) => (news, None),
            Err(why) => {
                let detail = refusal(&why);
                let version = &response.system_version_info;
                (
                    News::Refused(format!("version {version:?}: {why}")),
                    Some(detail),
                )
            }
        };
        let reply = DeltaDiscoveryRequest {
            type_url: ClusterLoadAssignment::type_url(),
            response_nonce: response.nonce,
            error_detail,
            ..DeltaDiscoveryRequest::default()
        };
        Answer {
            reply,
            news,
            trouble,
        }
    }
}
