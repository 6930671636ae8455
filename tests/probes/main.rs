//! Probes: what they ask, what is HEALTHY, and the reason when it is not.

mod function;
mod grpc;
mod http;
mod http_settings;
mod http_texts;
mod setup;
mod tcp;
