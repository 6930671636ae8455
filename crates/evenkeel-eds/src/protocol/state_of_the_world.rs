use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::service::discovery::v3::{
    DiscoveryRequest, DiscoveryResponse, Resource,
};
use envoy_types::pb::google::protobuf::Any;
use prost::{Message, Name};

use super::{Answer, Given, News, Protocol, Wanted, refusal};

/// `StreamEndpoints`: each response has all of the resource, under one version for everything that
/// the server has.
pub(crate) struct StateOfTheWorld {
    wanted: Wanted,
    /// The last version that was taken, on this stream or before it.
    version: String,
}

impl StateOfTheWorld {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            version: String::new(),
        }
    }

    fn request(&self) -> DiscoveryRequest {
        DiscoveryRequest {
            version_info: self.version.clone(),
            resource_names: vec![self.wanted.resource.to_string()],
            type_url: ClusterLoadAssignment::type_url(),
            ..DiscoveryRequest::default()
        }
    }
}

impl Protocol for StateOfTheWorld {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn hello(&mut self, node: core::Node, version: Option<&str>) -> DiscoveryRequest {
        version.unwrap_or_default().clone_into(&mut self.version);
        DiscoveryRequest {
            node: Some(node),
            ..self.request()
        }
    }

    fn answer(&mut self, response: DiscoveryResponse) -> Answer<DiscoveryRequest> {
        let trouble = self.wanted.trouble(response.resource_errors);
        let given = response.resources.into_iter();
        let given = given.map(|any| unwrap(any, &response.version_info));
        let found = self.wanted.find(&response.type_url, given);
        let (news, error_detail) = match found {
            Ok(news) => {
                self.version = response.version_info;
                (news, None)
            }
            Err(why) => {
                let detail = refusal(&why);
                let version = &response.version_info;
                (
                    News::Refused(format!("version {version:?}: {why}")),
                    Some(detail),
                )
            }
        };
        let reply = DiscoveryRequest {
            response_nonce: response.nonce,
            error_detail,
            ..self.request()
        };
        Answer {
            reply,
            news,
            trouble,
        }
    }
}

/// A server may wrap a resource, to give it a time to live.
fn unwrap(any: Any, version: &str) -> Result<Given, String> {
    if any.type_url == Resource::type_url() {
        let resource = Resource::decode(&*any.value)
            .map_err(|error| format!("it cannot be decoded: {error}"))?;
        return Ok(Given::wrapped(resource, Some(version)));
    }
    Ok(Given {
        name: None,
        version: version.to_owned(),
        time_to_live: None,
        content: Some(any),
    })
}
