//! Limits of single backends, and the queue for them.

mod backends;
