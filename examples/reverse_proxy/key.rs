//! `--key`: which part of a request is its key.

use evenkeel::InvalidSetting;
use evenkeel::http::key;
use evenkeel::picker::hash::Key;
use hyper::Request;

use crate::proxy::RequestBody;

pub(crate) type RequestKey = Box<dyn Key<Request<RequestBody>>>;

pub(crate) const KEYS: &str =
    "client-address, path, uri, host, header:NAME, cookie:NAME, query:NAME";

/// Where a request comes from, as the connection says: no proxy in front is believed.
pub(crate) fn client_address() -> RequestKey {
    Box::new(key::client_address())
}

/// Reads a list of keys: the first that a request has counts.
pub(crate) fn parse(text: &str) -> Result<RequestKey, String> {
    let keys = text.split(',').map(one).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(keys))
}

fn one(text: &str) -> Result<RequestKey, String> {
    fn boxed<K: Key<Request<RequestBody>> + 'static>(
        key: Result<K, InvalidSetting>,
    ) -> Result<RequestKey, String> {
        match key {
            Ok(key) => Ok(Box::new(key)),
            Err(invalid) => Err(format!("--key: {invalid}")),
        }
    }
    match text.split_once(':') {
        None if text == "client-address" => Ok(client_address()),
        None if text == "path" => Ok(Box::new(key::path())),
        None if text == "uri" => Ok(Box::new(key::uri())),
        None if text == "host" => Ok(Box::new(key::host())),
        Some(("header", name)) => boxed(key::header(name)),
        Some(("cookie", name)) => boxed(key::cookie(name)),
        Some(("query", name)) => boxed(key::query(name)),
        _ => Err(format!(
            "--key {text:?} is wrong: expected one of {KEYS}, or several with commas between them"
        )),
    }
}
