use std::env;

/// What a benchmark was asked for.
pub(crate) struct Arguments {
    flags: Vec<String>,
    parts: Vec<String>,
}

impl Arguments {
    pub(crate) fn read() -> Self {
        let (flags, parts) = env::args().skip(1).partition(|arg| arg.starts_with('-'));
        Self { flags, parts }
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|arg| arg == flag)
    }

    /// Whether this is to be measured, by `cargo bench`, and not only tried, by `cargo test`.
    pub(crate) fn is_full(&self) -> bool {
        let full = self.has("--bench") && !self.has("--test");
        if !full {
            println!("Only a try: the figures say nothing.");
        }
        full
    }

    /// Whether a part is wanted: if none is named, all are.
    pub(crate) fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|arg| arg == part)
    }
}
