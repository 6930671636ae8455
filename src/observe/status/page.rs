use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use sha2::{Digest, Sha256};

/// The page, the same for all: it asks for what it shows.
pub(super) struct Page {
    pub(super) html: Bytes,
    /// What a browser may run and load: what is in the page, and answers from where it came from.
    pub(super) policy: HeaderValue,
}

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Made when somebody asks for the first time.
pub(super) fn page() -> &'static Page {
    static PAGE: LazyLock<Page> = LazyLock::new(|| Page {
        html: HTML
            .replace("/*STYLE*/", STYLE)
            .replace("/*SCRIPT*/", SCRIPT)
            .into(),
        policy: policy(),
    });
    &PAGE
}

fn policy() -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    // Base64 is all visible ASCII; otherwise nothing may run.
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn hash(text: &str) -> String {
    // A browser hashes lines that end in LF, whatever they ended in.
    let text = text.replace("\r\n", "\n");
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}
