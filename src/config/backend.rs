use std::collections::BTreeMap;

use serde::Deserialize;

use super::entry::Health;
use super::invalid::{Invalid, Told};
use crate::backend::{Backend, Hint};
use crate::http::Address;

/// `[[backend]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendSection {
    address: String,
    id: Option<String>,
    weight: Option<u32>,
    priority: Option<u32>,
    zone: Option<String>,
    hash_key: Option<String>,
    max_in_flight: Option<u32>,
    server_name: Option<String>,
    health: Option<Health>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// All that a section can have.
pub(crate) const FIELDS: [&str; 10] = [
    "address",
    "id",
    "weight",
    "priority",
    "zone",
    "hash_key",
    "max_in_flight",
    "server_name",
    "health",
    "metadata",
];

pub(super) fn build(sections: Vec<BackendSection>) -> Result<Vec<Backend<Address>>, Invalid> {
    let mut backends = Vec::with_capacity(sections.len());
    let mut places = BTreeMap::new();
    for (at, section) in sections.into_iter().enumerate() {
        let within = |invalid: Invalid| invalid.within(format_args!("backend[{at}]"));
        let backend = section.build().map_err(within)?;
        let id = backend.id();
        if let Some(other) = places.insert(id.to_owned(), at) {
            let given = format_args!("{id:?}, which is that of backend[{other}]");
            let expected = "one that no other backend has; where there is none, it is the address";
            return Err(within(Invalid::setting("id", "id", given, expected)));
        }
        backends.push(backend);
    }
    Ok(backends)
}

impl BackendSection {
    pub(super) fn build(self) -> Result<Backend<Address>, Invalid> {
        let id = self.id.unwrap_or_else(|| self.address.clone());
        if id.is_empty() {
            let expected = "a name; where there is none, it is the address";
            return Err(Invalid::setting("id", "id", "\"\"", expected));
        }
        let address: Address = self
            .address
            .parse()
            .map_err(|error| Invalid::at("address", error))?;
        let address = address.with(self.server_name, Address::with_server_name);
        let backend = Backend::new(id, address)
            .with(self.weight, Backend::weight)
            .with(self.priority, Backend::priority)
            .with(self.zone, Backend::zone)
            .with(self.hash_key, Backend::hash_key)
            .with(self.max_in_flight, Backend::max_in_flight)
            .with(self.health.map(Hint::from), Backend::hint);
        let metadata = self.metadata.into_iter();
        Ok(metadata.fold(backend, |backend, (key, value)| {
            backend.metadata(key, value)
        }))
    }
}
