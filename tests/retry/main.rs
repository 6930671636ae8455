//! Requests that are sent again.

#![cfg(feature = "tower")]

mod storm;
