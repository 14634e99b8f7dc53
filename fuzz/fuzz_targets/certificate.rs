#![no_main]

#[path = "../../core/tests/fuzzed/certificate.rs"]
mod certificate;

libfuzzer_sys::fuzz_target!(|input: &[u8]| certificate::run(input));
