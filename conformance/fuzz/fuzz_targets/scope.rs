//! Scope files.
#![no_main]

use kontiki_specs::scope::Scope;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Scope::parse("s", "s.toml", text) {
        Ok(scope) => assert!(scope.check().is_ok()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
