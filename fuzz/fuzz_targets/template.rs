#![no_main]

#[path = "../../core/tests/fuzzed/template.rs"]
mod template;
#[path = "../../core/tests/world/mod.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|input: &[u8]| template::run(input));
