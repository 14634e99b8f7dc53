//! Properties of reading, writing and editing manifests.

#![cfg(test)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proptest::collection::btree_map;
use proptest::prelude::*;
use sealed_secrets_core::manifest::edit::{Change, apply};
use sealed_secrets_core::manifest::{
    Format, documents, only_document, sealed_secret_text, sealed_secrets_of, secrets_of,
};
use sealed_secrets_crds::{SealedSecret, SealedSecretSpec, SecretTemplate};

const ITEM: &str = "AgB+/x==";

fn any_text() -> impl Strategy<Value = String> {
    let words =
        ["y", "012", "1e3", "~", "<<", "=", "- a", "a: b", "2024-01-01", "12:30:45", " x ", "\n", "a\n b"];
    prop_oneof![".{0,120}", "[ -~\n]{0,60}", prop::sample::select(words.to_vec()).prop_map(str::to_owned)]
}

fn any_texts() -> impl Strategy<Value = Option<BTreeMap<String, String>>> {
    prop::option::of(btree_map(any_text(), any_text(), 1..5))
}

prop_compose! {
    fn any_sealed()(
        annotations in any_texts(),
        labels in any_texts(),
        keys in btree_map("[-._a-zA-Z0-9]{1,200}", Just(ITEM.to_owned()), 1..6),
        type_ in prop::option::of("[a-z0-9/.]{1,20}"),
        immutable in any::<Option<bool>>(),
        templates in prop::option::of(btree_map("[a-z0-9]{1,8}", prop::option::of(any_text()), 1..3)),
    ) -> SealedSecret {
        let metadata = ObjectMeta { annotations, labels, name: Some("db".to_owned()), ..ObjectMeta::default() };
        let template = SecretTemplate { metadata: Some(metadata.clone()), type_, immutable, data: templates };
        let mut sealed = SealedSecret::new("", SealedSecretSpec { template, data: None, encrypted_data: keys });
        sealed.metadata = metadata;
        sealed
    }
}

fn set(key: &str, value: &str) -> Change {
    let path = ["spec", "encryptedData", key].map(str::to_owned).to_vec();
    Change { object: 0, path, value: value.to_owned() }
}

/// Inserts comments and blank lines at line ends, where YAML allows them.
fn commented(yaml: &str) -> String {
    let in_block = |line: &str| !line.starts_with("    ") && line.ends_with(':');
    yaml.lines()
        .map(|line| if in_block(line) { format!("{line} # kept\n\n") } else { format!("{line}\n") })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn written_manifests_are_read_back_unchanged(sealed in any_sealed(), yaml in any::<bool>()) {
        let format = if yaml { Format::Yaml } else { Format::Json };
        let text = sealed_secret_text(&sealed, format);
        let read = sealed_secrets_of(&documents(&text).unwrap()).unwrap();
        prop_assert_eq!(read, vec![sealed], "{}", text);
    }

    #[test]
    fn replacing_an_item_changes_only_its_own_text(sealed in any_sealed(), index in any::<prop::sample::Index>()) {
        let keys: Vec<&String> = sealed.spec.encrypted_data.keys().collect();
        let key = index.get(&keys);
        for text in [sealed_secret_text(&sealed, Format::Json), commented(&sealed_secret_text(&sealed, Format::Yaml))] {
            let edited = apply(&text, &[set(key, "AgNEW")]).unwrap();
            let changed: Vec<(&str, &str)> = text.lines().zip(edited.lines()).filter(|(a, b)| a != b).collect();
            prop_assert_eq!(changed.len(), 1);
            prop_assert_eq!(changed[0].0.replace(ITEM, "AgNEW"), changed[0].1);
            prop_assert_eq!(text.lines().count(), edited.lines().count());
        }
    }

    #[test]
    fn adding_an_item_adds_one_line(sealed in any_sealed(), key in "[a-z]{3,9}") {
        prop_assume!(!sealed.spec.encrypted_data.contains_key(&key));
        let text = commented(&sealed_secret_text(&sealed, Format::Yaml));
        let edited = apply(&text, &[set(&key, "AgNEW")]).unwrap();
        let added = edited.lines().position(|line| line.ends_with(" AgNEW")).unwrap();
        let without: Vec<&str> = edited.lines().enumerate().filter(|(at, _)| *at != added).map(|(_, line)| line).collect();
        prop_assert_eq!(without, text.lines().collect::<Vec<_>>());
    }

    #[test]
    fn an_added_item_stands_where_sealing_all_of_them_writes_it(mut sealed in any_sealed(), key in "[a-zA-Z][-._a-zA-Z]{3,9}") {
        let without_digits = |(key, item): (String, String)| (key.replace(|c: char| c.is_ascii_digit(), ""), item);
        sealed.spec.encrypted_data = std::mem::take(&mut sealed.spec.encrypted_data).into_iter().map(without_digits).collect();
        prop_assume!(!sealed.spec.encrypted_data.contains_key(&key));
        let before = [Format::Json, Format::Yaml].map(|format| (format, sealed_secret_text(&sealed, format)));
        sealed.spec.encrypted_data.insert(key.clone(), ITEM.to_owned());
        for (format, text) in before {
            let edited = apply(&text, &[set(&key, ITEM)]).unwrap();
            prop_assert_eq!(edited, sealed_secret_text(&sealed, format), "{}", text);
        }
    }

    /// Stable counterpart of the fuzz target `manifest`.
    #[test]
    fn no_text_makes_reading_or_editing_panic(text in prop_oneof![".{0,200}", "[ \t\n:{}\\[\\],&*!|>'\"%#a-c-]{0,200}"]) {
        if let Ok(documents) = documents(&text) {
            drop(secrets_of(&documents));
            drop(sealed_secrets_of(&documents));
        }
        drop(only_document(&text));
        drop(apply(&text, &[set("a", "AgNEW")]));
    }
}
