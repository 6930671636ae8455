//! Where members come from, when they are not set by hand.
//!
//! A [`Source`] says who there is and what changes; [`Follow`] feeds pools from it, by the same rules
//! for every source. It is a future or a task: nothing in a request's path drives it.
//!
//! | source | says | needs |
//! | --- | --- | --- |
//! | [`fixed`] | a list that never changes | |
//! | [`source()`], [`once`] | what a stream of yours says | |
//! | `File` | what a file says, as it changes | `file` |
//! | [`follow`] | what tower's [`Discover`] says | |
//! | `dns::Dns` | A, AAAA and SRV records | the feature `dns` |
//!
//! What happens when a source fails, and how to use many clients with many backends, is in the guide.

#[cfg(feature = "dns")]
pub mod dns;
mod driver;
#[cfg(feature = "file")]
mod file;
mod follow;
mod growth;
mod pending;
mod simple;
mod source;
mod spawn;
mod tower;
mod view;

pub use ::tower::discover::Discover;

pub use self::driver::Ended;
#[cfg(feature = "file")]
pub use self::file::{File, Format, InvalidFile};
pub use self::follow::Follow;
pub use self::simple::{fixed, once};
pub use self::source::{Source, Update, Updates, source};
pub use self::spawn::{Feeding, spawn};
pub use self::tower::follow;
