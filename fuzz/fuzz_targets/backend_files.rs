//! Whatever a file of backends has in it, it is read or refused, and what is read has no more
//! entries than bytes.

#![no_main]

use evenkeel::discover::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for format in [Format::Toml, Format::Json] {
        match format.read(input) {
            Ok(update) => assert!(update.skipped().count() <= input.len()),
            // It is told in one line, and is not the file again.
            Err(error) => {
                let error = error.to_string();
                assert!(!error.is_empty() && error.len() < 1_000 + input.len());
            }
        }
    }
});
