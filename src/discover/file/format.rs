use std::fmt;
use std::path::Path;

use serde_json::{Map, Value};

use super::InvalidFile;
use crate::Backend;
use crate::config::{FIELDS, InvalidEntry, from_fields, read_backend};
use crate::discover::Update;
use crate::http::Address;

/// What a file of backends is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// TOML, with an array of tables `[[backend]]`.
    Toml,
    /// JSON: an object with a list `backend`, or that list alone.
    Json,
}

impl Format {
    /// Returns the format that a path's extension names, in capitals or not.
    pub fn of(path: impl AsRef<Path>) -> Option<Self> {
        let extension = path.as_ref().extension()?.to_str()?;
        [("toml", Self::Toml), ("json", Self::Json)]
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(extension))
            .map(|(_, format)| format)
    }

    /// Reads what a file has in it, as [`File`](super::File) does: for one that comes by another
    /// way, or to check it before it is written.
    ///
    /// # Errors
    ///
    /// If there is no list to be read. An entry that is no good is skipped instead; see
    /// [`Update::skipped`].
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::discover::Format;
    ///
    /// let update = Format::Json.read(br#"["10.0.0.1:80", {"address": "10.0.0.2:80", "weight": -1}]"#)?;
    /// let skipped: Vec<_> = update.skipped().collect();
    /// assert_eq!(
    ///     skipped,
    ///     [("10.0.0.2:80", "weight: invalid value: integer `-1`, expected u32")],
    /// );
    /// assert!(Format::Toml.read(b"[[backend]").is_err());
    /// # Ok::<(), evenkeel::discover::InvalidFile>(())
    /// ```
    pub fn read(self, text: &[u8]) -> Result<Update<Address>, InvalidFile> {
        let text =
            std::str::from_utf8(text).map_err(|error| InvalidFile::NotUtf8(error.valid_up_to()))?;
        // Some editors begin a file with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(InvalidFile::Blank);
        }
        let entries = self.entries(text)?;
        let mut update = Update::all([]);
        for (at, entry) in entries.into_iter().enumerate() {
            update = add(update, at, entry);
        }
        Ok(update)
    }

    fn entries(self, text: &str) -> Result<Vec<Value>, InvalidFile> {
        let document = match self {
            Self::Json => serde_json::from_str(text).map_err(syntax)?,
            Self::Toml => toml::from_str(text)
                .map(json)
                .map_err(|error| toml_syntax(text, &error))?,
        };
        match document {
            Value::Array(entries) => Ok(entries),
            Value::Object(mut sections) => match sections.remove("backend") {
                Some(Value::Array(entries)) => Ok(entries),
                _ => Err(InvalidFile::NoList),
            },
            _ => Err(InvalidFile::NoList),
        }
    }
}

fn syntax(error: impl fmt::Display) -> InvalidFile {
    InvalidFile::Syntax(error.to_string())
}

/// On one line, and without the text around it, which may have secrets.
fn toml_syntax(text: &str, error: &toml::de::Error) -> InvalidFile {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            syntax(format_args!("{} at line {line}", error.message()))
        }
        None => syntax(error.message()),
    }
}

fn add(update: Update<Address>, at: usize, entry: Value) -> Update<Address> {
    let name = name(at, &entry);
    let unknown: Vec<_> = unknown(&entry)
        .map(|field| format!("{name}: {field}"))
        .collect();
    let update = match backend(entry) {
        Ok(backend) => update.put(backend),
        Err(error) => return update.skip(name, error),
    };
    unknown.into_iter().fold(update, |update, field| {
        update.skip(
            field,
            "nobody knows this field; the backend is taken without it",
        )
    })
}

fn backend(entry: Value) -> Result<Backend<Address>, InvalidEntry> {
    match entry {
        Value::Object(fields) => from_fields(None, fields),
        Value::String(address) => read_backend(None, address.as_bytes()),
        _ => Err(InvalidEntry::new("it is neither a table nor an address")),
    }
}

/// What to call an entry, even one that is no good: as people know it, if they can.
fn name(at: usize, entry: &Value) -> String {
    let known = match entry {
        Value::Object(fields) => ["id", "address"]
            .iter()
            .find_map(|field| fields.get(*field)?.as_str()),
        _ => entry.as_str(),
    };
    let known = known.filter(|name| !name.is_empty() && name.len() <= 256);
    known.map_or_else(|| format!("backend[{at}]"), str::to_owned)
}

fn unknown(entry: &Value) -> impl Iterator<Item = &String> {
    let fields = entry.as_object().into_iter().flat_map(Map::keys);
    fields.filter(|field| !FIELDS.contains(&field.as_str()))
}

/// TOML as JSON. What JSON does not have becomes what is refused where it stands, and is not taken
/// for a field that is absent: a float that is no number, a text; a date, a table.
fn json(document: toml::Table) -> Value {
    let fields = document.into_iter();
    Value::Object(
        fields
            .map(|(name, field)| (name, json_value(field)))
            .collect(),
    )
}

fn json_value(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map_or_else(|| Value::String(number.to_string()), Value::Number),
        toml::Value::Boolean(yes) => Value::Bool(yes),
        toml::Value::Datetime(_) => Value::Object(Map::new()),
        toml::Value::Array(list) => list.into_iter().map(json_value).collect(),
        toml::Value::Table(table) => json(table),
    }
}
