//! Configuration by files.

mod defaults;
mod keys;
mod probing;
mod refused;
mod reload;
mod said;

use evenkeel::config::Config;

fn read(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
