use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::backend::{BackendSection, FIELDS};
use crate::backend::{Backend, Hint};
use crate::http::Address;

/// An entry of a registry, or of a file, is no backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidEntry(String);

/// Reads a backend as registries keep it: an address, or a JSON object with the fields of a
/// configuration's `[[backend]]`.
///
/// `id` is the name under which it was found; without one, the entry's own `id` or address is.
/// Fields that nobody knows are left alone, so that a fleet can begin to write new ones before all
/// can read them.
///
/// # Errors
///
/// What is wrong, with the field and the value.
///
/// # Examples
///
/// ```
/// use evenkeel::config::read_backend;
///
/// let backend = read_backend(Some("web-1"), b"10.0.0.1:8080")?;
/// assert_eq!((backend.id(), backend.value().authority()), ("web-1", "10.0.0.1:8080"));
///
/// let text = br#"{"address": "10.0.0.1:8080", "weight": 3, "health": "draining", "since": 2026}"#;
/// assert_eq!(read_backend(None, text)?.id(), "10.0.0.1:8080");
///
/// let error = read_backend(None, br#"{"address": "10.0.0.1:8080", "weight": -1}"#).unwrap_err();
/// assert_eq!(error.to_string(), "weight: invalid value: integer `-1`, expected u32");
/// # Ok::<(), evenkeel::config::InvalidEntry>(())
/// ```
pub fn read_backend(id: Option<&str>, entry: &[u8]) -> Result<Backend<Address>, InvalidEntry> {
    let text = std::str::from_utf8(entry).map_err(|error| {
        let at = error.valid_up_to();
        InvalidEntry(format!("byte {at} is not UTF-8"))
    })?;
    let text = text.trim();
    if text.starts_with('{') {
        let fields = serde_json::from_str(text).map_err(InvalidEntry::new)?;
        return from_fields(id, fields);
    }
    let address: Address = text.parse().map_err(InvalidEntry::new)?;
    match id {
        Some("") => Err(InvalidEntry::new("its id is empty")),
        Some(id) => Ok(Backend::new(id, address)),
        None => Ok(Backend::new(text, address)),
    }
}

/// The same for an object that has been read.
pub(crate) fn from_fields(
    id: Option<&str>,
    mut fields: Map<String, Value>,
) -> Result<Backend<Address>, InvalidEntry> {
    fields.retain(|name, _| FIELDS.contains(&name.as_str()));
    if let Some(id) = id {
        fields.insert("id".to_owned(), Value::from(id));
    }
    let section: BackendSection =
        serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
            match error.path().to_string().as_str() {
                "." | "?" => InvalidEntry::new(error.inner()),
                path => InvalidEntry(format!("{path}: {}", error.inner())),
            }
        })?;
    section.build().map_err(InvalidEntry::new)
}

/// Writes a backend as [`read_backend`] reads it: a JSON object, with what is not a default.
///
/// # Examples
///
/// ```
/// use evenkeel::Backend;
/// use evenkeel::config::{read_backend, write_backend};
///
/// let backend = Backend::new("web-1", "10.0.0.1:8080".parse()?).weight(3).zone("a");
/// let text = write_backend(&backend);
/// assert_eq!(text, r#"{"address":"http://10.0.0.1:8080","weight":3,"zone":"a"}"#);
/// assert_eq!(write_backend(&read_backend(Some("web-1"), text.as_bytes())?), text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_backend(backend: &Backend<Address>) -> String {
    let settings = &backend.settings;
    let metadata = settings.all_metadata();
    let written = Written {
        address: backend.value.to_string(),
        weight: (settings.weight != 1).then_some(settings.weight),
        priority: Some(settings.priority()).filter(|&priority| priority > 0),
        zone: settings.zone(),
        hash_key: settings.hash_key(),
        max_in_flight: settings.max_in_flight(),
        health: Some(settings.hint())
            .filter(|&hint| hint != Hint::Healthy)
            .map(Hint::name),
        server_name: backend.value.server_name(),
        metadata: metadata.filter(|metadata| !metadata.is_empty()),
    };
    // Only maps with keys that are no texts cannot be written.
    serde_json::to_string(&written).unwrap_or_default()
}

#[derive(Serialize)]
struct Written<'a> {
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_in_flight: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a BTreeMap<String, String>>,
}

impl InvalidEntry {
    pub(crate) fn new(problem: impl fmt::Display) -> Self {
        Self(problem.to_string())
    }
}

/// [`Hint`], as it is written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Health {
    Healthy,
    Degraded,
    Unhealthy,
    Draining,
}

impl From<Health> for Hint {
    fn from(health: Health) -> Self {
        match health {
            Health::Healthy => Self::Healthy,
            Health::Degraded => Self::Degraded,
            Health::Unhealthy => Self::Unhealthy,
            Health::Draining => Self::Draining,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_with_all_that_it_says() {
        let address: Address = "https://10.0.0.1:8443".parse().unwrap();
        let backend = Backend::new("a", address.with_server_name("api.example.com"))
            .weight(0)
            .priority(2)
            .zone("z")
            .hash_key("k")
            .max_in_flight(7)
            .hint(Hint::Draining)
            .metadata("rack", "r7");
        let text = write_backend(&backend);
        let read = read_backend(Some("a"), text.as_bytes()).unwrap();
        assert_eq!(read.value, backend.value);
        assert_eq!(read.settings, backend.settings);
        // Each field that is read is written, but for the id, and no other one is.
        let written: Map<String, Value> = serde_json::from_str(&text).unwrap();
        let mut fields: Vec<&str> = written.keys().map(String::as_str).chain(["id"]).collect();
        let mut known = FIELDS.to_vec();
        fields.sort_unstable();
        known.sort_unstable();
        assert_eq!(fields, known);
    }

    #[test]
    fn an_entry_that_is_no_backend_says_why() {
        for (entry, problem) in [
            (&b"\xff10.0.0.1:80"[..], "byte 0 is not UTF-8"),
            (
                b"",
                "invalid address \"\": expected [http://|https://]HOST[:PORT], with a valid host",
            ),
            (
                b"{\"address\": \"a:80\"",
                "EOF while parsing an object at line 1 column 18",
            ),
            (b"{}", "missing field `address`"),
            (
                b"{\"address\": 80}",
                "address: invalid type: integer `80`, expected a string",
            ),
            (
                b"{\"address\": \"a:80\", \"id\": \"\"}",
                "id: invalid id \"\": expected a name; where there is none, it is the address",
            ),
            (
                b"{\"address\": \"a:80\", \"health\": \"ill\"}",
                "health: unknown variant `ill`, expected one of `healthy`, `degraded`, `unhealthy`, `draining`",
            ),
        ] {
            assert_eq!(read_backend(None, entry).unwrap_err().to_string(), problem);
        }
        let error = read_backend(Some(""), b"a:80").unwrap_err();
        assert_eq!(error.to_string(), "its id is empty");
    }
}
