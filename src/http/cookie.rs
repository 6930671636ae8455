//! Cookies as a client sends them: RFC 6265, section 4.2, read leniently.

use http::HeaderMap;
use http::header::COOKIE;

/// Returns the values of all cookies with a name, in their order, without quotes around them.
///
/// Whatever is not a pair is passed over.
pub(super) fn values<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| header.as_bytes().split(|&byte| byte == b';'));
    pairs.filter_map(move |pair| value_of(pair, name))
}

/// The value of a pair, if that is its name.
pub(super) fn value_of<'h>(pair: &'h [u8], name: &str) -> Option<&'h [u8]> {
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (left, right) = (&pair[..equals], &pair[equals + 1..]);
    (left.trim_ascii() == name.as_bytes()).then(|| unquoted(right.trim_ascii()))
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// Whether a text can be a cookie's name: a token of RFC 9110, section 5.6.2.
pub(super) fn is_name(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                headers.append(COOKIE, value);
            }
        }
        headers
    }

    fn found(lines: &[&str], name: &str) -> Vec<String> {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        let headers = headers(&lines);
        let values = values(&headers, name);
        values
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    #[test]
    fn all_values_of_a_name_are_found_in_their_order() {
        assert_eq!(found(&["a=1; b=2", "a=3"], "a"), ["1", "3"]);
        assert_eq!(found(&["a=1;b=2;  a = 3 "], "a"), ["1", "3"]);
        assert_eq!(
            found(&["a=\"1\"; a=\"; a=\"\"; a=x=y"], "a"),
            ["1", "\"", "", "x=y"]
        );
    }

    #[test]
    fn what_is_not_a_pair_is_passed_over() {
        assert_eq!(found(&["", ";;", "a", "=1", "aa=1; A=2; ;a=3"], "a"), ["3"]);
    }

    #[test]
    fn names_are_tokens() {
        assert!(is_name("__Host-id"));
        for wrong in ["", "a b", "a=b", "a;b", "ä", "a\n"] {
            assert!(!is_name(wrong), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_is_read(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
            let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            let headers = headers(&lines);
            for value in values(&headers, "a") {
                prop_assert!(!value.contains(&b';'));
            }
        }

        #[test]
        fn a_cookie_is_found_among_others(
            value in "[!#-+./0-9:<-\\[\\]-~-]{0,40}",
            before in prop::collection::vec("[b-z]{1,5}=[0-9]{0,5}", 0..1_000),
        ) {
            let line = [before.join("; "), format!("a={value}")].join("; ");
            prop_assert_eq!(found(&[&line], "a"), [value]);
        }
    }
}
