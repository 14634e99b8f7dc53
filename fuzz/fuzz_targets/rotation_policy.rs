#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sealed_secrets_controller::fuzzed::rotation_policy(input));
