//! Envoy's endpoint discovery service (EDS) as a source of backends for evenkeel.

mod eds;
mod failure;
mod invalid;
mod mapping;
mod node;
mod policy;
mod protocol;
mod session;

pub use self::eds::Eds;
pub use self::failure::Failure;
pub use self::invalid::InvalidSetting;
pub use self::mapping::LocalityWeights;
pub use self::node::Node;
pub use self::policy::{DropOverload, Policies, Policy};
