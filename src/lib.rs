//! Placeholder.

pub mod backend;
#[cfg(feature = "tower")]
pub mod balance;
#[cfg(feature = "tower")]
pub mod connect;
#[cfg(feature = "tower")]
pub mod discover;
#[cfg(feature = "http")]
pub mod http;
pub mod picker;
pub mod set;
mod sync;
mod time;

pub use self::backend::Backend;
#[cfg(feature = "tower")]
pub use self::balance::{Balance, Error};
pub use self::picker::Picker;
pub use self::set::{BackendSet, Pool};
