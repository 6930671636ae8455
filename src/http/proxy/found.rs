use http::header::{HeaderMap, HeaderName};

/// Which of the headers that a proxy has to look at are there.
///
/// Most are not. One look at each name that is there costs less than asking for each that could be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found(u32);

impl Found {
    pub(super) const CONNECTION: Self = Self(1);
    pub(super) const CONTENT_LENGTH: Self = Self(1 << 1);
    pub(super) const COOKIE: Self = Self(1 << 2);
    pub(super) const EXPECT: Self = Self(1 << 3);
    pub(super) const FORWARDED: Self = Self(1 << 4);
    pub(super) const HOST: Self = Self(1 << 5);
    pub(super) const TE: Self = Self(1 << 6);
    pub(super) const TRANSFER_ENCODING: Self = Self(1 << 7);
    pub(super) const UPGRADE: Self = Self(1 << 8);
    /// `Keep-Alive` or one of `Proxy-…`.
    pub(super) const OTHER_HOP_BY_HOP: Self = Self(1 << 9);
    pub(super) const X_FORWARDED: Self = Self(1 << 10);
    /// A name with an underscore in it.
    pub(super) const UNDERSCORE: Self = Self(1 << 11);

    /// Those that speak of one connection.
    pub(super) const HOP_BY_HOP: Self = Self(
        Self::CONNECTION.0
            | Self::TE.0
            | Self::TRANSFER_ENCODING.0
            | Self::UPGRADE.0
            | Self::OTHER_HOP_BY_HOP.0,
    );

    pub(super) fn of(headers: &HeaderMap) -> Self {
        let names = headers.keys().map(HeaderName::as_str);
        Self(names.fold(0, |found, name| found | Self::by_name(name).0))
    }

    pub(super) fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }

    /// Names of headers are in lower case here.
    #[inline]
    fn by_name(name: &str) -> Self {
        // By length first: most are told apart by it.
        match (name.len(), name) {
            (2, "te") => Self::TE,
            (4, "host") => Self::HOST,
            (6, "cookie") => Self::COOKIE,
            (6, "expect") => Self::EXPECT,
            (7, "upgrade") => Self::UPGRADE,
            (9, "forwarded") => Self::FORWARDED,
            (10, "connection") => Self::CONNECTION,
            (10, "keep-alive") => Self::OTHER_HOP_BY_HOP,
            (14, "content-length") => Self::CONTENT_LENGTH,
            (17, "transfer-encoding") => Self::TRANSFER_ENCODING,
            _ if name.starts_with("proxy-") => Self::OTHER_HOP_BY_HOP,
            _ if name.starts_with("x-forwarded-") => Self::X_FORWARDED,
            _ if name.as_bytes().contains(&b'_') => Self::UNDERSCORE,
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn each_that_is_there_is_found_and_nothing_else() {
        let table = [
            ("te", Found::TE),
            ("host", Found::HOST),
            ("cookie", Found::COOKIE),
            ("expect", Found::EXPECT),
            ("upgrade", Found::UPGRADE),
            ("forwarded", Found::FORWARDED),
            ("connection", Found::CONNECTION),
            ("keep-alive", Found::OTHER_HOP_BY_HOP),
            ("proxy-connection", Found::OTHER_HOP_BY_HOP),
            ("proxy-authenticate", Found::OTHER_HOP_BY_HOP),
            ("content-length", Found::CONTENT_LENGTH),
            ("transfer-encoding", Found::TRANSFER_ENCODING),
            ("x-forwarded-for", Found::X_FORWARDED),
            ("x_real_ip", Found::UNDERSCORE),
            ("x-forwarded_for", Found::UNDERSCORE),
            ("accept", Found::default()),
            ("x-real-ip", Found::default()),
        ];
        let mut headers = HeaderMap::new();
        let mut all = 0;
        for (name, found) in table {
            let name = HeaderName::from_static(name);
            assert_eq!(Found::by_name(name.as_str()), found, "{name}");
            headers.insert(name, HeaderValue::from_static(""));
            all |= found.0;
            assert_eq!(Found::of(&headers).0, all);
        }
    }
}
