//! What those are told who look after a program: observers, metrics, spans, and whoever asks why.

#[path = "../common/mod.rs"]
mod common;
mod explain;
mod metrics;
mod observer;
mod spans;
