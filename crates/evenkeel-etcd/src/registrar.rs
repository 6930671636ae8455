use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcd_client::{
    Client, Compare, CompareOp, ConnectOptions, LeaseKeepAliveStream, LeaseKeeper, PutOptions, Txn,
    TxnOp, TxnOpResponse,
};
use evenkeel::config::write_backend;
use evenkeel::http::Address;
use evenkeel::{Backend, Backoff, InvalidSetting};
use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};
use tower::BoxError;

use crate::cluster::Cluster;
use crate::registration::{Registration, RegistrationState, Wanted};

/// Registers backends in etcd, where [`Etcd`](crate::Etcd) finds them: for the backends' own side.
///
/// A backend is there for as long as its lease is kept alive, which is done three times in the
/// lease's time. One that is killed is gone when that is over. When etcd could not be reached for
/// longer, it is registered anew as soon as it can be.
///
/// # Examples
///
/// ```no_run
/// use evenkeel::Backend;
/// use evenkeel_etcd::Registrar;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registrar = Registrar::new(["http://10.0.0.1:2379"], "/services/api/")?;
/// let me = Backend::new("api-7", "10.0.1.7:8080".parse()?).zone("eu-west-1a");
/// let registration = registrar.register(me)?;
/// // … serve, until it is time to go; then, before the listener is closed:
/// registration.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Registrar {
    cluster: Cluster,
    prefix: String,
    lease: Duration,
    backoff: Backoff,
}

impl Registrar {
    /// Registers under a prefix, in the cluster with these nodes; see [`Etcd::new`](crate::Etcd::new).
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
            lease: Duration::from_secs(10),
            backoff: Backoff::default(),
        })
    }

    /// Sets a user, or TLS; see [`Etcd::connect_options`](crate::Etcd::connect_options).
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

    /// Sets the time of the lease: how long a backend that was killed stays registered. Default
    /// 10 s; whole seconds. etcd makes very short ones longer.
    ///
    /// # Errors
    ///
    /// When it is less than a second.
    pub fn lease(mut self, lease: Duration) -> Result<Self, InvalidSetting> {
        if lease < Duration::from_secs(1) {
            let given = format_args!("{lease:?}");
            return Err(InvalidSetting::new("lease", given, "a second or more"));
        }
        self.lease = lease.min(Duration::from_secs(9_000_000_000));
        Ok(self)
    }

    /// Sets how long to wait before etcd is tried again. Default: from 100 ms to 10 s.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Registers a backend, and keeps it registered on a task of its own.
    ///
    /// Of several of one id the last one counts: it takes the place of the one before, whose updates
    /// and whose end do nothing to it.
    ///
    /// # Errors
    ///
    /// When the id is empty.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its time enabled.
    #[track_caller]
    pub fn register(&self, backend: Backend<Address>) -> Result<Registration, InvalidSetting> {
        if backend.id().is_empty() {
            return Err(InvalidSetting::new("id", "\"\"", "one character or more"));
        }
        let key = format!("{}{}", self.prefix, backend.id());
        let (wanted, wants) = watch::channel(Wanted::There(backend));
        let (tells, state) = watch::channel(RegistrationState::Pending { error: None });
        let keeping = Keeping {
            registrar: self.clone(),
            key,
            wants,
            tells,
            left: None,
            was_there: false,
        };
        Ok(Registration {
            wanted,
            state,
            task: tokio::spawn(keeping.run()),
        })
    }
}

/// For so long a backend that is to be gone is tried to be taken out.
const PATIENCE: Duration = Duration::from_secs(10);

/// The task of a registration.
struct Keeping {
    registrar: Registrar,
    key: String,
    wants: watch::Receiver<Wanted>,
    tells: watch::Sender<RegistrationState>,
    /// A lease that the backend may be there by, and that nobody keeps.
    left: Option<i64>,
    /// It has been there: from then on it does not take the place of another one.
    was_there: bool,
}

/// A lease that was granted, and the stream that keeps it.
struct Lease {
    client: Client,
    id: i64,
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
    /// A third of its time.
    beat: Duration,
}

impl Keeping {
    async fn run(mut self) {
        let mut failures = 0;
        // Whoever wants it gone does not want to wait for etcd to come back.
        let mut wants = self.wants.clone();
        let is_gone = |wanted: &Wanted| matches!(wanted, Wanted::Gone);
        let gone = loop {
            let lease = tokio::select! {
                biased;
                _ = wants.wait_for(is_gone) => None,
                lease = self.lease() => Some(lease),
            };
            let error = match lease {
                None => break self.revoke().await,
                Some(Ok(mut lease)) => match self.keep(&mut lease, &mut failures).await {
                    Ok(()) => break Ok(()),
                    Err(error) => error,
                },
                Some(Err(error)) => error,
            };
            self.complain(&error);
            failures += 1;
            let is_over = tokio::select! {
                () = tokio::time::sleep(self.registrar.backoff.delay(failures)) => false,
                _ = wants.wait_for(is_gone) => true,
            };
            if is_over {
                break self.revoke().await;
            }
        };
        match gone {
            Ok(()) => drop(self.tells.send_replace(RegistrationState::Gone)),
            Err(error) => self.complain(&error),
        }
    }

    /// Takes out what may be left of a lease that was not kept to its end. A cluster that has just
    /// lost its leader has another one soon.
    async fn revoke(&mut self) -> Result<(), BoxError> {
        let Some(id) = self.left.take() else {
            return Ok(());
        };
        let cluster = &self.registrar.cluster;
        let end = Instant::now() + self.registrar.lease.min(PATIENCE);
        for failures in 1.. {
            let revoking = async {
                let mut client = cluster.connect().await?;
                cluster.within(client.lease_revoke(id)).await
            };
            match revoking.await {
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => tokio::time::sleep(self.registrar.backoff.delay(failures)).await,
                Ok(_) => break,
            }
        }
        Ok(())
    }

    async fn lease(&self) -> Result<Lease, BoxError> {
        let cluster = &self.registrar.cluster;
        let mut client = cluster.connect().await?;
        let seconds = i64::try_from(self.registrar.lease.as_secs()).unwrap_or(i64::MAX);
        let granted = cluster.within(client.lease_grant(seconds, None)).await?;
        let keeping = client.lease_keep_alive(granted.id());
        let (keeper, answers) = cluster.within(keeping).await?;
        Ok(Lease {
            id: granted.id(),
            keeper,
            answers,
            beat: Duration::from_secs(granted.ttl().max(1).unsigned_abs()) / 3,
            client,
        })
    }

    /// Keeps the backend there until it is to be gone.
    async fn keep(&mut self, lease: &mut Lease, failures: &mut u32) -> Result<(), BoxError> {
        let cluster = self.registrar.cluster.clone();
        let before = self.left.replace(lease.id);
        if self.was_there {
            self.put_again(lease, before.unwrap_or(lease.id)).await?;
        } else {
            self.put(lease).await?;
            self.was_there = true;
        }
        if let Some(before) = before {
            // It may be over, which is as good.
            let _ = cluster.within(lease.client.lease_revoke(before)).await;
        }
        *failures = 0;
        let mut beat = Instant::now() + lease.beat;
        loop {
            // Who is dropped wants it gone: the channel is closed then, and that was said before.
            if timeout_at(beat.into(), self.wants.changed()).await.is_err() {
                beat += lease.beat;
                lease.keeper.keep_alive().await?;
                let patience = cluster.patience().min(lease.beat);
                let answer = timeout(patience, lease.answers.message()).await;
                let answer = answer.map_err(|_| format!("no answer within {patience:?}"))??;
                if answer.is_none_or(|answer| answer.ttl() <= 0) {
                    return Err("the lease is over".into());
                }
            }
            if matches!(*self.wants.borrow(), Wanted::Gone) {
                // The key goes with it, unless it is another's by now.
                let revoking = lease.client.lease_revoke(lease.id);
                cluster.within(revoking).await?;
                self.left = None;
                return Ok(());
            }
            self.put_again(lease, lease.id).await?;
        }
    }

    /// Puts the backend there, whoever was there before.
    async fn put(&mut self, lease: &mut Lease) -> Result<(), BoxError> {
        let Some((value, options)) = self.value(lease) else {
            return Ok(());
        };
        let putting = lease.client.put(&*self.key, value, Some(options));
        self.registrar.cluster.within(putting).await?;
        self.tells.send_replace(RegistrationState::Registered);
        Ok(())
    }

    /// Sees to it that it is there as it is wanted, unless it is another's by now: if it is there by
    /// the lease that was its own, or not at all.
    async fn put_again(&mut self, lease: &mut Lease, own: i64) -> Result<(), BoxError> {
        let Some((value, options)) = self.value(lease) else {
            return Ok(());
        };
        let key = &*self.key;
        let put = |value: String| TxnOp::put(key, value, Some(options.clone()));
        let is_mine = Compare::lease(key, CompareOp::Equal, own);
        let nobodys = Compare::create_revision(key, CompareOp::Equal, 0);
        // A transaction within one: if it is mine, or else if it is nobody's.
        let or_nobodys = Txn::new().when([nobodys]).and_then([put(value.clone())]);
        let transaction = Txn::new()
            .when([is_mine])
            .and_then([put(value)])
            .or_else([TxnOp::txn(or_nobodys)]);
        let answer = self
            .registrar
            .cluster
            .within(lease.client.txn(transaction))
            .await?;
        let done = answer.succeeded()
            || answer
                .op_responses()
                .iter()
                .any(|answer| matches!(answer, TxnOpResponse::Txn(inner) if inner.succeeded()));
        let state = if done {
            RegistrationState::Registered
        } else {
            RegistrationState::Replaced
        };
        self.tells.send_if_modified(|before| {
            let same = before.is_registered() == done
                && matches!(
                    before,
                    RegistrationState::Registered | RegistrationState::Replaced
                );
            *before = state;
            !same
        });
        Ok(())
    }

    /// What is to be put, unless nothing is.
    fn value(&mut self, lease: &Lease) -> Option<(String, PutOptions)> {
        match &*self.wants.borrow_and_update() {
            Wanted::There(backend) => {
                let options = PutOptions::new().with_lease(lease.id);
                Some((write_backend(backend), options))
            }
            Wanted::Gone => None,
        }
    }

    fn complain(&self, error: &BoxError) {
        let error: Arc<str> = error.to_string().into();
        self.tells.send_modify(|state| {
            *state = match state {
                RegistrationState::Pending { .. } => {
                    RegistrationState::Pending { error: Some(error) }
                }
                RegistrationState::Lost { since, .. } => RegistrationState::Lost {
                    since: *since,
                    error,
                },
                _ => RegistrationState::Lost {
                    since: Instant::now(),
                    error,
                },
            };
        });
    }
}

impl fmt::Debug for Registrar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registrar")
            .field("prefix", &self.prefix)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
