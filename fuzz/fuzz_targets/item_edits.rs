#![no_main]

#[path = "../../core/tests/fuzzed/item_edits.rs"]
mod item_edits;

libfuzzer_sys::fuzz_target!(|input: &[u8]| item_edits::run(input));
