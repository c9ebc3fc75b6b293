//! Config files of the key-value server.
#![no_main]

use kontiki_kv::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Config::parse(text, "1.toml".as_ref()) {
        assert!(error.to_string().starts_with("1.toml:"));
    }
});
