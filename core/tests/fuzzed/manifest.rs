//! Any text as a manifest: what is read of it can be written and read again, and an edit that is made is found.

use sealed_secrets_core::manifest::edit::{Change, apply};
use sealed_secrets_core::manifest::{
    Format, documents, only_document, sealed_secret_text, sealed_secrets_of, secrets_of,
};
use sealed_secrets_crds::SealedSecret;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(documents) = documents(text) {
        drop(secrets_of(&documents));
        for sealed in sealed_secrets_of(&documents).unwrap_or_default() {
            for format in [Format::Json, Format::Yaml] {
                // The first text lacks what is empty.
                let written = sealed_secret_text(&sealed, format);
                let again = read_back(&written).map(|sealed| sealed_secret_text(&sealed, format));
                assert_eq!(again.as_ref(), Some(&written));
            }
        }
    }
    drop(only_document(text));
    let path: Vec<String> = ["spec", "encryptedData", "a"].map(str::to_owned).to_vec();
    let change = Change { object: 0, path, value: "AgNEW".to_owned() };
    if let Ok(edited) = apply(text, &[change]) {
        assert!(edited.contains("AgNEW") && documents(&edited).is_ok(), "{edited}");
    }
}

fn read_back(text: &str) -> Option<SealedSecret> {
    let mut all = sealed_secrets_of(&documents(text).ok()?).ok()?;
    all.pop().filter(|_| all.is_empty())
}
