use hickory_resolver::proto::rr::RecordType;

/// Which addresses of a name are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IpFamily {
    /// Those of IPv4 and of IPv6.
    #[default]
    Any,
    /// Only those of IPv4: `A` records.
    V4,
    /// Only those of IPv6: `AAAA` records.
    V6,
}

impl IpFamily {
    pub(super) fn records(self) -> &'static [RecordType] {
        match self {
            Self::Any => &[RecordType::A, RecordType::AAAA],
            Self::V4 => &[RecordType::A],
            Self::V6 => &[RecordType::AAAA],
        }
    }
}
