//! How long a request may take.

#![cfg(feature = "http")]

mod attempts;
mod layer;
mod over_http;
