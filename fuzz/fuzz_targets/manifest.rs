#![no_main]

#[path = "../../core/tests/fuzzed/manifest.rs"]
mod manifest;

libfuzzer_sys::fuzz_target!(|input: &[u8]| manifest::run(input));
