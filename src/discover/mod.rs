//! Where members come from, when they are not set by hand.
//!
//! [`follow`] feeds a pool from tower's [`Discover`], [`follow_sets`] or
//! [`follow_sets_with`] from a stream of whole sets.
//! Each returns a future that does the feeding, to await, select or [`spawn`]; nothing in a
//! request's path drives it. The last good set is kept when a source errs or ends.

mod follow;
mod source;
mod spawn;

pub use tower::discover::Discover;

pub use self::follow::{Ended, follow, follow_sets, follow_sets_with};
pub use self::source::{Skipped, Source, Update, Updates, source};
pub use self::spawn::{Feeding, spawn};
