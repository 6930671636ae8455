use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use evenkeel::Backend;
use evenkeel::http::Address;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A backend that is registered in etcd for as long as this is kept, from
/// [`Registrar::register`](crate::Registrar::register).
///
/// When it is dropped, its task takes the backend out, if the runtime lives on for as long as that
/// takes; [`shutdown`](Self::shutdown) waits for it. Whatever happens, the backend is gone when its
/// lease is over.
#[derive(Debug)]
#[must_use = "dropping it takes the backend out"]
pub struct Registration {
    pub(crate) wanted: watch::Sender<Wanted>,
    pub(crate) state: watch::Receiver<RegistrationState>,
    pub(crate) task: JoinHandle<()>,
}

/// What is to be in etcd.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    There(Backend<Address>),
    Gone,
}

/// How a registration is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RegistrationState {
    /// It has not been there yet.
    #[non_exhaustive]
    Pending {
        /// What went wrong last, if anything did.
        error: Option<Arc<str>>,
    },
    /// It is there.
    Registered,
    /// Another registration of its id has taken its place. When that one is gone, this one is there
    /// again.
    Replaced,
    /// etcd cannot be reached. It may be there still, until its lease is over.
    #[non_exhaustive]
    Lost {
        /// Since when.
        since: Instant,
        /// What went wrong last.
        error: Arc<str>,
    },
    /// It was taken out.
    Gone,
}

impl Registration {
    /// Says something else of the backend: another weight, that it drains. Its id stays.
    ///
    /// It is written soon; of several of these the last one.
    pub fn update(&self, backend: Backend<Address>) {
        self.wanted.send_modify(|wanted| {
            if let Wanted::There(before) = wanted
                && before.id() == backend.id()
            {
                *wanted = Wanted::There(backend);
            }
        });
    }

    /// Returns how it is.
    pub fn state(&self) -> RegistrationState {
        self.state.borrow().clone()
    }

    /// Waits until it is in another state than when this was called last, and returns that; `None`
    /// when there will be no other one.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is dropped.
    pub async fn changed(&mut self) -> Option<RegistrationState> {
        self.state.changed().await.ok()?;
        Some(self.state.borrow_and_update().clone())
    }

    /// Takes the backend out, and waits until it is; where etcd cannot be reached, for some 10 s.
    ///
    /// Call it before the server stops to listen, so that clients have gone elsewhere by then.
    ///
    /// # Cancel safety
    ///
    /// The backend is taken out even if this is dropped.
    pub async fn shutdown(mut self) {
        let _ = self.wanted.send(Wanted::Gone);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let _ = self.wanted.send(Wanted::Gone);
    }
}

impl RegistrationState {
    /// Returns whether it is known to be there.
    pub fn is_registered(&self) -> bool {
        matches!(self, Self::Registered)
    }
}

impl fmt::Display for RegistrationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending { error: None } => f.write_str("not registered yet"),
            Self::Pending { error: Some(error) } => write!(f, "not registered yet: {error}"),
            Self::Registered => f.write_str("registered"),
            Self::Replaced => f.write_str("replaced by another one of its id"),
            Self::Lost { since, error } => {
                let since = since.elapsed().as_secs_f64();
                write!(f, "lost for {since:.1} s: {error}")
            }
            Self::Gone => f.write_str("taken out"),
        }
    }
}
