//! What is behind the proxies.

pub(crate) mod fast;
pub(crate) mod tornado;
