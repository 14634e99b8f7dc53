//! Any text as a manifest: the parsed objects can be written and parsed again, and an edit changes one item and no other.

use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_core::manifest::edit::{Change, apply};
use sealed_secrets_core::manifest::{
    Format, SecretDocument, documents, only_document, plain_secrets, replace_documents, sealed_secret_text,
    sealed_secrets_of, secret_text, secrets_of,
};
use sealed_secrets_crds::{SealedSecret, SealedSecretSpec};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    for secret in secrets_in(text) {
        for format in [Format::Json, Format::Yaml] {
            assert_secret_is_kept(&secret, format);
        }
    }
    for sealed in sealed_secrets_in(text) {
        for format in [Format::Json, Format::Yaml] {
            assert_sealed_secret_is_kept(&sealed, format);
        }
    }
    drop(only_document(text));
    assert_only_secrets_are_replaced(text);
    assert_one_item_is_edited(text);
}

/// Replacing finds a result, and no Secret with values is left in it.
fn assert_only_secrets_are_replaced(text: &str) {
    let Some(found) = plain_secrets(text).ok().filter(|found| !found.documents.is_empty()) else { return };
    let sealed = |document: SecretDocument| {
        let texts = document.secrets.iter().map(|secret| {
            let name = secret.secret.metadata.name.clone().unwrap_or_default();
            sealed_secret_text(&SealedSecret::new(&name, SealedSecretSpec::default()), document.format)
        });
        let texts = texts.collect();
        (document, texts)
    };
    let replacements: Vec<_> = found.documents.into_iter().map(sealed).collect();
    let replaced = replace_documents(text, &replacements).unwrap();
    assert!(plain_secrets(&replaced).is_ok_and(|left| left.documents.is_empty()), "{replaced}");
}

fn secrets_in(text: &str) -> Vec<Secret> {
    let documents = documents(text).unwrap_or_default();
    secrets_of(&documents).unwrap_or_default()
}

fn sealed_secrets_in(text: &str) -> Vec<SealedSecret> {
    let documents = documents(text).unwrap_or_default();
    sealed_secrets_of(&documents).unwrap_or_default()
}

fn assert_secret_is_kept(secret: &Secret, format: Format) {
    let written = secret_text(secret, format);
    let [read] = &secrets_in(&written)[..] else { panic!("no Secret: {written}") };
    assert_eq!(read.data.clone().unwrap_or_default(), secret.data.clone().unwrap_or_default(), "{written}");
    assert_eq!(secret_text(read, format), written);
}

/// Compares the spec only: the text omits empty fields of the metadata.
fn assert_sealed_secret_is_kept(sealed: &SealedSecret, format: Format) {
    let written = sealed_secret_text(sealed, format);
    let [read] = &sealed_secrets_in(&written)[..] else { panic!("no SealedSecret: {written}") };
    assert_eq!(read.spec.encrypted_data, sealed.spec.encrypted_data, "{written}");
    assert_eq!(read.spec.template.data, sealed.spec.template.data, "{written}");
    assert_eq!(sealed_secret_text(read, format), written);
}

fn assert_one_item_is_edited(text: &str) {
    let path = ["spec", "encryptedData", "a"].map(str::to_owned).to_vec();
    let change = Change { object: 0, path, value: "AgNEW".to_owned() };
    let Ok(edited) = apply(text, &[change]) else { return };
    assert!(edited.contains("AgNEW") && documents(&edited).is_ok(), "{edited}");
    let mut expected = sealed_secrets_in(text);
    if let Some(first) = expected.first_mut() {
        first.spec.encrypted_data.insert("a".to_owned(), "AgNEW".to_owned());
        assert_eq!(sealed_secrets_in(&edited), expected, "{edited}");
    }
}
