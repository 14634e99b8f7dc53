//! Any text as a template over a small context: no panic, no stack overflow, no more memory than the budget.
//!
//! `cargo +nightly fuzz run template`; `core/tests/template_soup.rs` is its mirror on the stable compiler.
#![no_main]

#[path = "../../core/tests/world/mod.rs"]
mod world;

use libfuzzer_sys::fuzz_target;
use sealed_secrets_core::template::{Budget, Data, render_text};

use self::world::Still;

fuzz_target!(|text: &str| {
    let items = Data::from([
        ("text".to_owned(), b"h\xffllo".to_vec().into()),
        ("json".to_owned(), b"{\"a\":[1,null]}".to_vec().into()),
    ]);
    let budget = Budget { steps: 50_000, costly: 0, ..Budget::default() };
    let _ = render_text("fuzz", text, &items, &budget, &mut Still::forever());
});
