//! What a response or an error means for the backend that it comes from: `Classify` and those who
//! implement it, in a balance that counts to the end of the body.

mod errors;
mod grpc;
mod http;
mod inside;
mod own;
mod setup;
mod tower_classifiers;
mod watched;
