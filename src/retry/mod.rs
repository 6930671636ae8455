//! How much may be sent again, and when: the bound on retries and hedges.
//!
//! [`Budget`] is shared by all that send a request a second time. It lets a share of the requests
//! be sent again, and no more, so that a backend that fails is not buried under retries.

mod budget;
// Hedges are what it is for.
#[cfg_attr(not(test), expect(dead_code))]
mod percentile;

pub use self::budget::Budget;
