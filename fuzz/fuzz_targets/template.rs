//! Any text as a template over a small context: no panic, no stack overflow, no more memory than the budget.
//!
//! `cargo +nightly fuzz run template`; `core/tests/template_soup.rs` is its mirror on the stable compiler.
#![no_main]

use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use sealed_secrets_core::template::{Budget, Data, Sources, render_text};

struct Still;

impl Sources for Still {
    fn now(&mut self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
    fn local_zone(&mut self) -> TimeZone {
        TimeZone::UTC
    }
    fn zone(&mut self, _: &str) -> Option<TimeZone> {
        None
    }
    fn fill_random(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
    fn expired(&mut self) -> bool {
        false
    }
}

fuzz_target!(|text: &str| {
    let items = Data::from([
        ("text".to_owned(), b"h\xffllo".to_vec().into()),
        ("json".to_owned(), b"{\"a\":[1,null]}".to_vec().into()),
    ]);
    let budget = Budget { steps: 50_000, costly: 0, ..Budget::default() };
    let _ = render_text("fuzz", text, &items, &budget, &mut Still);
});
