//! What benchmarks have in common.

#![allow(dead_code, reason = "each benchmark uses its own part")]

pub(crate) mod arguments;
pub(crate) mod measure;
pub(crate) mod pool;
pub(crate) mod report;
pub(crate) mod requests;
pub(crate) mod services;
