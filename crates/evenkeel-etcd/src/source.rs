use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::ConnectOptions;
use evenkeel::InvalidSetting;
use evenkeel::discover::{Source, Updates};
use evenkeel::http::Address;
use futures_util::{StreamExt, stream};

use crate::cluster::Cluster;
use crate::session::{Seen, Session};

/// The keys under a prefix in etcd as a [`Source`] of backends.
///
/// The prefix is read at one revision, a thousand keys at a time, and watched from there on. When
/// the stream breaks, it goes on at the revision that it had come to, with the next node, so that
/// nothing is missed; if that has been compacted meanwhile, all is read anew.
///
/// | what happens | what follows |
/// | --- | --- |
/// | the node dies, hangs, or is cut off | noticed within some 5 s, and the next one is asked |
/// | the cluster has no quorum | the pool keeps the last good set; its status says stale, and why |
/// | a value is no backend | skipped, named in an event; of a key that was good, the last good value stays |
/// | all keys are deleted | as [`Follow::allow_empty`](evenkeel::discover::Follow::allow_empty) says |
///
/// See the [crate](crate) for an example.
#[must_use]
pub struct Etcd {
    cluster: Cluster,
    prefix: String,
    seen: Arc<Mutex<Seen>>,
}

impl Etcd {
    /// The keys that begin with `prefix`, in the cluster with these nodes: `http://10.0.0.1:2379`,
    /// say. The prefix should end where ids begin: `/services/api/`.
    ///
    /// # Errors
    ///
    /// When there are no nodes, or one is no address, or the prefix is empty.
    pub fn new(
        nodes: impl IntoIterator<Item = impl Into<String>>,
        prefix: impl Into<String>,
    ) -> Result<Self, InvalidSetting> {
        let prefix = prefix.into();
        if prefix.is_empty() {
            return Err(InvalidSetting::new(
                "prefix",
                "\"\"",
                "one character or more",
            ));
        }
        Ok(Self {
            cluster: Cluster::new(nodes)?,
            prefix,
            seen: Arc::default(),
        })
    }

    /// Sets a user, or TLS. Time-outs, keep-alive and the need for a leader are set here, and not
    /// taken from these.
    pub fn connect_options(mut self, options: ConnectOptions) -> Self {
        self.cluster = self.cluster.options(options);
        self
    }

    /// Sets how long a node may take to answer. Default 3 s.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, InvalidSetting> {
        self.cluster = self.cluster.timeout(timeout)?;
        Ok(self)
    }
}

/// A clone begins anew: it has seen nothing yet.
impl Clone for Etcd {
    fn clone(&self) -> Self {
        Self {
            cluster: self.cluster.clone(),
            prefix: self.prefix.clone(),
            seen: Arc::default(),
        }
    }
}

impl Source for Etcd {
    type Value = Address;

    fn name(&self) -> String {
        format!("etcd {}", self.prefix)
    }

    fn watch(&mut self) -> Option<Updates<Address>> {
        let session = Session::new(
            self.cluster.clone(),
            self.prefix.clone().into_bytes(),
            Arc::clone(&self.seen),
        );
        let updates = stream::unfold(session, |mut session| async move {
            Some((session.next().await, session))
        });
        Some(updates.boxed())
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
