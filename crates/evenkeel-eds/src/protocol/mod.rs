//! What is asked of a management server, and what it is answered. Nothing here waits.
//!
//! ```text
//!            client                                server
//!   node, name, last version ────────────────────>
//!                            <──────────────────── version 7, nonce a
//!   ACK: version 7, nonce a  ────────────────────>
//!                            <──────────────────── version 8, nonce b   (no good)
//!   NACK: version 7, nonce b, what is wrong ─────>
//! ```

mod incremental;
mod state_of_the_world;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::service::discovery::v3::{Resource, ResourceError};
use envoy_types::pb::google::protobuf::Any;
use envoy_types::pb::google::rpc::Status;
use prost::{Message, Name};
use tonic::Code;

pub(crate) use self::incremental::Incremental;
pub(crate) use self::state_of_the_world::StateOfTheWorld;
use crate::mapping::{Assignment, Mapping, duration};

/// One of the two ways to be told of changes.
pub(crate) trait Protocol: Send + 'static {
    type Request: Send + 'static;
    type Response: Send + 'static;

    /// The first request of a stream, with the version that is known.
    fn hello(&mut self, node: core::Node, version: Option<&str>) -> Self::Request;

    fn answer(&mut self, response: Self::Response) -> Answer<Self::Request>;
}

/// What a response means.
#[derive(Debug)]
pub(crate) struct Answer<R> {
    /// The ACK or NACK.
    pub(crate) reply: R,
    pub(crate) news: News,
    /// The server has trouble with the resource, and says which.
    pub(crate) trouble: Option<String>,
}

#[derive(Debug)]
pub(crate) enum News {
    /// Nothing of the resource.
    Nothing,
    /// There is another assignment.
    Assignment(Box<Taken>),
    /// The last assignment is good for so long from now on.
    StillGood(Option<Duration>),
    /// The resource does not exist any more.
    Gone,
    /// The response was refused as a whole.
    Refused(String),
}

/// An assignment that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) assignment: Assignment,
    /// With which a later stream begins.
    pub(crate) version: String,
    /// For how long it is good, unless the server says more.
    pub(crate) good_for: Option<Duration>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) resource: Arc<str>,
    pub(crate) mapping: Mapping,
}

/// A resource as one of the protocols has it.
struct Given {
    name: Option<String>,
    version: String,
    time_to_live: Option<Duration>,
    /// Nothing when it has not changed.
    content: Option<Any>,
}

impl Given {
    fn wrapped(resource: Resource, version: Option<&str>) -> Self {
        Self {
            name: (!resource.name.is_empty()).then_some(resource.name),
            version: version.map_or(resource.version, str::to_owned),
            time_to_live: resource.ttl.as_ref().and_then(duration),
            content: resource.resource,
        }
    }
}

impl Wanted {
    /// Finds what is wanted in a response, and reads it.
    fn find(
        &self,
        type_url: &str,
        given: impl Iterator<Item = Result<Given, String>>,
    ) -> Result<News, String> {
        check_type(type_url, &ClusterLoadAssignment::type_url())?;
        let mut news = None;
        for (at, given) in given.enumerate() {
            let found = given.and_then(|given| self.read(given));
            let found = found.map_err(|why| format!("resource {at}: {why}"))?;
            if let Some(found) = found
                && news.replace(found).is_some()
            {
                return Err(format!("resource {at}: {:?} is there twice", self.resource));
            }
        }
        Ok(news.unwrap_or(News::Nothing))
    }

    /// `None` if it is another resource.
    fn read(&self, given: Given) -> Result<Option<News>, String> {
        let named = given.name.as_deref();
        if named.is_some_and(|name| name != &*self.resource) {
            return Ok(None);
        }
        let Some(content) = given.content else {
            return Ok(Some(News::StillGood(given.time_to_live)));
        };
        check_type(&content.type_url, &ClusterLoadAssignment::type_url())?;
        let message = ClusterLoadAssignment::decode(&*content.value)
            .map_err(|error| format!("it cannot be decoded: {error}"))?;
        if message.cluster_name != *self.resource {
            if named.is_some() {
                return Err(format!("its cluster is {:?}", message.cluster_name));
            }
            return Ok(None);
        }
        let assignment = self.mapping.read(&message)?;
        let stale_after = assignment.policy.endpoint_stale_after();
        let good_for = [given.time_to_live, stale_after]
            .into_iter()
            .flatten()
            .min();
        Ok(Some(News::Assignment(Box::new(Taken {
            assignment,
            version: given.version,
            good_for,
        }))))
    }

    /// What the server says itself is wrong with what is wanted.
    fn trouble(&self, errors: Vec<ResourceError>) -> Option<String> {
        let ours = |error: &ResourceError| {
            let name = error.resource_name.as_ref();
            name.is_some_and(|name| name.name == *self.resource)
        };
        let error = errors.into_iter().find(ours)?;
        let detail = error.error_detail.unwrap_or_default();
        let code = Code::from_i32(detail.code);
        Some(format!("the server says {code:?}: {}", detail.message))
    }
}

fn check_type(given: &str, expected: &str) -> Result<(), String> {
    if given == expected {
        return Ok(());
    }
    Err(format!("the type is {given:?}, and not {expected:?}"))
}

/// What a NACK says.
fn refusal(why: &str) -> Status {
    Status {
        code: Code::InvalidArgument as i32,
        message: why.to_owned(),
        details: Vec::new(),
    }
}
