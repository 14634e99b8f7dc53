//! Kept fuzz corpora, run through the bodies of the targets.

#![cfg(test)]

mod world;

#[path = "fuzzed/certificate.rs"]
mod certificate;
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "the test reads files, not the crate"
)]
#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "fuzzed/envelope.rs"]
mod envelope;
#[path = "fuzzed/item_edits.rs"]
mod item_edits;
#[path = "fuzzed/manifest.rs"]
mod manifest;
#[path = "fuzzed/template.rs"]
mod template;

use corpus::replay;

#[test]
fn no_kept_file_makes_reading_certificates_and_keys_panic() {
    replay("certificate", certificate::run);
}

#[test]
fn no_kept_item_makes_decryption_panic() {
    replay("envelope", envelope::run);
}

#[test]
fn kept_files_keep_everything_but_the_item_that_is_edited() {
    replay("item_edits", item_edits::run);
}

#[test]
fn kept_manifests_are_read_written_and_edited_without_a_panic() {
    replay("manifest", manifest::run);
}

#[test]
fn kept_templates_end_without_a_panic_within_their_budget() {
    replay("template", template::run);
}
