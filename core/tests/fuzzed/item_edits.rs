//! Any text as a file with SealedSecrets: an item is set with its receipt and removed, and everything else stays.

use sealed_secrets_core::lint::{Expectations, check};
use sealed_secrets_core::manifest::edit::{Change, apply};
use sealed_secrets_core::manifest::merge::{Markers, TextMerge, ThreeWay, merge};
use sealed_secrets_core::manifest::receipts::{Found, ItemReceipt, write_receipts};
use sealed_secrets_core::manifest::{EditorText, Manifest, Removal, remove, with_summaries};
use sealed_secrets_core::receipt::Receipt;
use sealed_secrets_crds::Scope;

const KEY: &str = "SHA256:q3Zt0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789BA";

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(receipt) = text.parse::<Receipt>() {
        assert_eq!(receipt.to_string(), text);
    }
    // For YAML a carriage return alone ends a line, too.
    let lines = text.split(['\n', '\r']).count();
    assert!(check(text, &Expectations::default()).iter().all(|finding| (1..=lines).contains(&finding.line)));
    let _ = with_summaries(text);
    let Ok(manifest) = Manifest::parse(text) else { return };
    saved_as_it_was(text);
    for object in manifest.sealed_secrets() {
        let (before, index) = (keys(text, object.index), object.index);
        let path = ["spec", "encryptedData", "a"].map(str::to_owned).to_vec();
        let change = Change { object: index, path: path.clone(), value: "AgNEW".to_owned() };
        let Ok(set) = apply(text, &[change]) else { continue };
        let receipt = Receipt::new(&KEY.parse().unwrap(), Scope::Strict, "shop", "db", "AgNEW");
        let written = ItemReceipt { object: index, key: "a".to_owned(), receipt: Some(receipt.clone()) };
        let Ok(set) = write_receipts(&set, &[written]) else { continue };
        let after = Manifest::parse(&set).unwrap();
        let object = after.sealed_secrets().into_iter().find(|object| object.index == index).unwrap();
        let item = object.items().into_iter().find(|item| item.key == "a");
        assert!(item.is_some_and(|item| !matches!(item.receipt, Found::Stale)), "{set}");
        assert_eq!(merged(text, &set), set, "a change of one side");
        let Ok(removed) = remove(&set, &[Removal { object: index, path }]) else { continue };
        let expected: Vec<String> = before.into_iter().filter(|key| key != "a").collect();
        assert_eq!(keys(&removed, index), expected, "{removed}");
    }
}

/// A text that an editor saves as it was is the file.
fn saved_as_it_was(text: &str) {
    let editor = EditorText::of(text).unwrap();
    if let Ok(edited) = editor.read(editor.text())
        && edited.new_values().is_empty()
        && let Ok(after) = edited.finish(&[])
    {
        assert_eq!(after, text);
    }
    drop(editor.read(text));
}

/// The merge of a text that one side has changed.
fn merged(base: &str, ours: &str) -> String {
    let taken = |versions: ThreeWay<&str>| {
        Ok::<_, ()>(TextMerge { text: versions.ours.to_owned(), is_clean: versions.theirs == versions.base })
    };
    merge(ThreeWay { base, ours, theirs: base }, &Markers { size: 7, has_base: false }, taken).unwrap().text
}

fn keys(text: &str, index: usize) -> Vec<String> {
    let manifest = Manifest::parse(text).unwrap();
    let objects = manifest.sealed_secrets();
    let object = objects.iter().find(|object| object.index == index);
    object.map(|object| object.items().into_iter().map(|item| item.key).collect()).unwrap_or_default()
}
