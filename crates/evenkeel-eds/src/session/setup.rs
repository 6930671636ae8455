use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3 as core;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::transport::Endpoint;

use crate::policy::Policy;
use crate::protocol::Wanted;

/// What all streams of a source have in common.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) server: Endpoint,
    pub(crate) node: core::Node,
    pub(crate) wanted: Wanted,
    pub(crate) initial_fetch_timeout: Option<Duration>,
    pub(crate) max_message: usize,
    pub(crate) memory: Arc<Mutex<Memory>>,
    pub(crate) policy: watch::Sender<Arc<Policy>>,
}

/// What streams leave to those after them.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// That of the last assignment, if the pool has it still.
    pub(super) version: Option<String>,
    /// When it is no good any more.
    pub(super) expires: Option<Instant>,
}

impl Setup {
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of what the pool has, if it is good still.
    pub(super) fn known_version(&self) -> Option<String> {
        let mut memory = self.memory();
        if memory.expires.is_some_and(|at| at <= Instant::now()) {
            *memory = Memory::default();
        }
        memory.version.clone()
    }

    pub(super) fn tell_policy(&self, policy: &Arc<Policy>) {
        self.policy.send_if_modified(|last| {
            let differs = last != policy;
            last.clone_from(policy);
            differs
        });
    }
}
