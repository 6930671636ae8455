//! What the status page shows, as JSON, as Prometheus's text, and to people.

mod browser;
mod driver;
mod json;
mod page;
mod prometheus;
mod setup;
