//! Whatever stands in a registry is a backend or is refused, and what is read is written so that it
//! is read again.

#![no_main]

use evenkeel::config::{read_backend, write_backend};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|entry: &[u8]| {
    for id in [None, Some("an id")] {
        let Ok(backend) = read_backend(id, entry) else {
            continue;
        };
        assert!(!backend.id().is_empty());
        let written = write_backend(&backend);
        let again = read_backend(Some(backend.id()), written.as_bytes()).expect("it was written");
        assert_eq!(again.id(), backend.id());
        assert_eq!(write_backend(&again), written);
    }
});
