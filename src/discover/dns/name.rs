//! Names: those that are asked for, those that records point at.

use std::net::IpAddr;

use hickory_resolver::proto::rr::Name;

use crate::InvalidSetting;

/// Parses a name that somebody has set.
pub(super) fn parse(what: &'static str, given: &str) -> Result<Name, InvalidSetting> {
    let refuse = |expected| {
        Err(InvalidSetting::new(
            what,
            format_args!("{given:?}"),
            expected,
        ))
    };
    let literal = given.trim_start_matches('[').trim_end_matches(']');
    if literal.parse::<IpAddr>().is_ok() {
        return refuse("a name; addresses that are known need no look-up, see `fixed`");
    }
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !given.chars().all(allowed) {
        return refuse("a DNS name: letters, digits, '-' and '_', divided by dots");
    }
    match Name::from_str_relaxed(given) {
        Ok(name) if name.iter().len() > 0 => Ok(name),
        _ => refuse("a DNS name: labels of 1 to 63 characters, 253 in all"),
    }
}

/// A name as people write it, without the dot at its end.
pub(super) fn text(name: &Name) -> String {
    let mut text = name.to_ascii();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}

/// Whether a host can be called like that. The DNS itself allows any byte.
pub(super) fn is_host(name: &Name) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut labels = name.iter().peekable();
    labels.peek().is_some() && labels.all(|label| label.iter().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_refused_and_named() {
        let long_label = "a".repeat(64);
        let long = [&*"a".repeat(60); 5].join(".");
        for bad in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            " a",
            "a\n",
            "a/b",
            "http://a",
            "a:80",
            "*.a",
            "a\\.b",
            "10.0.0.1",
            "::1",
            "[::1]",
            &long_label,
            &long,
        ] {
            let error = parse("name", bad).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("invalid name {bad:?}: ")),
                "{error}"
            );
        }
    }

    #[test]
    fn names_are_kept_as_they_are() {
        for (given, ascii) in [
            ("api.example.com", "api.example.com"),
            ("api.example.com.", "api.example.com."),
            ("_http._tcp.api_1.example", "_http._tcp.api_1.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
        ] {
            let name = parse("name", given).unwrap();
            assert_eq!(name.to_ascii(), ascii);
            assert_eq!(text(&name), ascii.trim_end_matches('.'));
            assert!(is_host(&name));
        }
    }

    #[test]
    fn a_record_can_point_at_what_is_no_host() {
        for bytes in [&b"a b"[..], b"a/b", b"\xff", b"a.b", b"\0"] {
            let name = Name::from_labels([bytes]).unwrap();
            assert!(!is_host(&name), "{name}");
        }
        assert!(!is_host(&Name::root()));
    }
}
