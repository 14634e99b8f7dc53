//! Property of sealing in place: in any order of documents, only those with Secrets change.

#![cfg(test)]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

#[path = "fuzzed/manifest.rs"]
mod manifest;

/// Pieces of files with Secrets and without, in the notations that meet in practice.
const PIECES: [&str; 24] = [
    "---\n",
    "--- ",
    "---\r\n",
    "...\n",
    "%YAML 1.2\n",
    "# comment\n",
    "\n",
    "\r\n",
    "  ",
    "kind: Secret\n",
    "kind: Secret\r\n",
    "kind: Pod\n",
    "kind: List\n",
    "kind: SecretList\n",
    "items:\n- kind: Secret\n  data: {a: Yg==}\n",
    "- kind: Secret\n  stringData:\n    a: b\n",
    "- {data: {a: Yg==}}\n",
    "data: {a: Yg==}\n",
    "stringData:\n  a: |\n    ---\n    b\n",
    "{kind: Secret, data: {a: Yg==}}\n",
    "{\"kind\": \"Secret\", \"data\": {\"a\": \"Yg==\"}}",
    "{\"kind\": \"List\", \"items\": [{\"kind\": \"Secret\", \"data\": {\"a\": \"Yg==\"}}]}\n",
    "{\"a\": 1}",
    "metadata: {name: x}\n",
];

proptest! {
    #[test]
    fn in_any_sequence_of_pieces_only_secrets_are_replaced(
        pieces in vec(select(&PIECES[..]), 1..9), has_mark in any::<bool>(),
    ) {
        let mark = if has_mark { "\u{feff}" } else { "" };
        manifest::run(format!("{mark}{}", pieces.concat()).as_bytes());
    }
}
