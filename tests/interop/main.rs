//! With clients, servers and layers of others, over real connections.

mod axum;
mod hyper_util;
mod reqwest;
mod servers;
mod tonic;
mod tower_http;
