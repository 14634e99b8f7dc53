//! Any text read and edited as a manifest: no panic, and an edit that is made is found again.
//!
//! `cargo +nightly fuzz run manifest`; `core/tests/manifest.rs` is its mirror on the stable compiler.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealed_secrets_core::manifest::edit::{Change, apply};
use sealed_secrets_core::manifest::{documents, only_document, sealed_secrets_of, secrets_of};

fuzz_target!(|text: &str| {
    if let Ok(documents) = documents(text) {
        drop(secrets_of(&documents));
        drop(sealed_secrets_of(&documents));
    }
    drop(only_document(text));
    let path: Vec<String> = ["spec", "encryptedData", "a"].map(str::to_owned).to_vec();
    let change = Change { object: 0, path, value: "AgNEW".to_owned() };
    if let Ok(edited) = apply(text, &[change]) {
        assert!(edited.contains("AgNEW") && documents(&edited).is_ok());
    }
});
