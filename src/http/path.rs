use http::uri::PathAndQuery;

use crate::InvalidSetting;

/// A path, which may have a query.
pub(crate) fn parse_path(path: &str) -> Result<PathAndQuery, InvalidSetting> {
    // A fragment is never sent, and is dropped without a word when it is parsed.
    let valid = path.starts_with('/') && path.is_ascii() && !path.contains('#');
    match path.parse() {
        Ok(path) if valid => Ok(path),
        _ => {
            let given = format_args!("{path:?}");
            let expected = "a path, such as /healthz";
            Err(InvalidSetting::new("path", given, expected))
        }
    }
}
