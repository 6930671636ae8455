use evenkeel::InvalidSetting;

const EXPECTED: &str = "1 to 63 lower-case letters, digits and `-`, with no `-` at an end";

/// Refuses what would mean something else in a path or a selector.
pub(crate) fn check(what: &'static str, name: String) -> Result<String, InvalidSetting> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=63).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good {
        Ok(name)
    } else {
        Err(InvalidSetting::new(
            what,
            format_args!("{name:?}"),
            EXPECTED,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn names_are_what_kubernetes_allows() {
        let long = "a".repeat(63);
        for good in ["a", "web-1", "0", &long] {
            assert!(check("Service", good.to_owned()).is_ok(), "{good}");
        }
        let longer = "a".repeat(64);
        for bad in ["", "A", "a.b", "a,b=c", "a/b", "-a", "a-", "ä", &longer] {
            let error = check("Service", bad.to_owned()).unwrap_err().to_string();
            assert!(error.contains(&format!("{bad:?}")), "{error}");
        }
    }
}
