//! Why a request went where it did, when somebody asks.

mod explained;
#[cfg(feature = "http")]
mod future;
#[cfg(feature = "http")]
mod layer;
mod log;
mod noting;
mod pick;

pub use self::explained::{Explainable, Explained};
#[cfg(feature = "http")]
pub use self::future::ExplainFuture;
#[cfg(feature = "http")]
pub use self::layer::{Explain, ExplainLayer};
pub use self::log::PickLog;
pub use self::pick::{Candidate, ExplainedPick};
