//! Properties of the edits that subcommands make: sequences of setting, removing and editing items, with receipts, in every style; and their merge.

#![cfg(test)]

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::lint::{Expectations, bound_objects, check, kustomization};
use sealed_secrets_core::manifest::edit::{Change, apply};
use sealed_secrets_core::manifest::merge::{Markers, TextMerge, ThreeWay, merge};
use sealed_secrets_core::manifest::receipts::{Found, ItemReceipt, write_receipts};
use sealed_secrets_core::manifest::{EditorText, Manifest, Removal, remove, with_summaries};
use sealed_secrets_core::receipt::Receipt;
use sealed_secrets_crds::Scope;

/// One run of `set`, `unset`, `edit` or `reencrypt`.
#[derive(Clone, Debug)]
enum Step {
    Set {
        key: String,
        value: String,
        has_receipt: bool,
    },
    Unset(String),
    /// Values that are typed over those of several items.
    Edit(BTreeMap<String, String>),
    /// New ciphertexts of those of these items that the file has.
    Reencrypt {
        values: BTreeMap<String, String>,
        has_receipt: bool,
    },
}

impl Step {
    fn keys(&self) -> Vec<&str> {
        match self {
            Self::Set { key, .. } | Self::Unset(key) => vec![key],
            Self::Edit(values) | Self::Reencrypt { values, .. } => {
                values.keys().map(String::as_str).collect()
            }
        }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = "[a-e]";
    prop_oneof![
        (key, "[A-Za-z0-9]{4,12}", any::<bool>()).prop_map(|(key, value, has_receipt)| Step::Set {
            key,
            value,
            has_receipt
        }),
        key.prop_map(Step::Unset),
        btree_map(key, "[A-Za-z0-9]{4,12}", 0..3).prop_map(Step::Edit),
        (btree_map(key, "[A-Za-z0-9]{4,12}", 0..4), any::<bool>())
            .prop_map(|(values, has_receipt)| Step::Reencrypt { values, has_receipt }),
    ]
}

/// The layout of a file.
#[expect(clippy::struct_excessive_bools, reason = "each is a dimension of its own")]
#[derive(Clone, Debug)]
struct Layout {
    line_break: &'static str,
    has_comments: bool,
    /// A comment on the line of each item.
    has_trailing_comments: bool,
    is_template: bool,
    indentation: usize,
    ends_with_items: bool,
}

prop_compose! {
    fn any_layout()(
        line_break in prop::sample::select(vec!["\n", "\r\n"]),
        has_comments in any::<bool>(),
        has_trailing_comments in any::<bool>(),
        is_template in any::<bool>(),
        indentation in 3..6_usize,
        ends_with_items in any::<bool>(),
    ) -> Layout {
        Layout { line_break, has_comments, has_trailing_comments, is_template, indentation, ends_with_items }
    }
}

impl Layout {
    /// Lines before, of and after the items.
    fn lines(&self, items: &BTreeMap<String, String>) -> (Vec<String>, Vec<String>, Vec<String>) {
        let mut head = vec!["# head".to_owned()];
        head.extend(self.is_template.then(|| "{{- if .Values.on }}".to_owned()));
        let name = if self.is_template { "{{ .Release.Name }}" } else { "db" };
        head.extend(["kind: SealedSecret".to_owned(), format!("metadata: {{namespace: shop}}  # {name}")]);
        head.extend(["spec:".to_owned(), "  encryptedData:".to_owned()]);
        let pad = " ".repeat(self.indentation);
        let comment = self.has_comments.then(|| format!("{pad}# about it")).into_iter();
        let trailing = if self.has_trailing_comments { "   # since 2024" } else { "" };
        let items = items.iter().map(|(key, value)| format!("{pad}{key}: {value}{trailing}"));
        let items = comment.chain(items).collect();
        let mut tail = Vec::new();
        if !self.ends_with_items {
            tail.extend([String::new(), "  template: {}  # tail".to_owned()]);
            tail.extend(self.is_template.then(|| "{{- end }}".to_owned()));
        }
        (head, items, tail)
    }

    fn text(&self, items: &BTreeMap<String, String>) -> String {
        let (head, items, tail) = self.lines(items);
        // An expression that ends nothing else leaves the file a template.
        let close = (self.is_template && self.ends_with_items).then(|| "{{- end }}".to_owned());
        [head, items, tail].concat().into_iter().chain(close).map(|line| line + self.line_break).collect()
    }
}

fn receipt(ciphertext: &str) -> Receipt {
    let key: Fingerprint = "SHA256:q3Zt0aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789BA".parse().unwrap();
    Receipt::new(&key, Scope::Strict, "shop", "db", ciphertext)
}

fn applied(text: &str, step: &Step, items: &mut BTreeMap<String, String>) -> String {
    let path = |key: &String| ["spec", "encryptedData", key].map(str::to_owned).to_vec();
    match step {
        Step::Set { key, value, has_receipt } => {
            items.insert(key.clone(), value.clone());
            let change = Change { object: 0, path: path(key), value: value.clone() };
            let receipt = has_receipt.then(|| receipt(value));
            let receipt = ItemReceipt { object: 0, key: key.clone(), receipt };
            write_receipts(&apply(text, &[change]).unwrap(), &[receipt]).unwrap()
        }
        Step::Reencrypt { values, has_receipt } => {
            let known = values.iter().filter(|(key, _)| items.contains_key(*key));
            let (changes, receipts): (Vec<Change>, Vec<ItemReceipt>) = known
                .map(|(key, value)| {
                    let receipt = has_receipt.then(|| receipt(value));
                    let change = Change { object: 0, path: path(key), value: value.clone() };
                    (change, ItemReceipt { object: 0, key: key.clone(), receipt })
                })
                .unzip();
            for change in &changes {
                items.insert(change.path[2].clone(), change.value.clone());
            }
            write_receipts(&apply(text, &changes).unwrap(), &receipts).unwrap()
        }
        Step::Edit(values) => {
            let editor = EditorText::of(text).unwrap();
            let header = if text.starts_with('{') { "" } else { "#~ header\n" };
            let mut shown = format!("{header}{}", editor.text());
            assert!(!shown.contains("# kubeseal: "), "{shown}");
            for (key, value) in values {
                let Some(item) = items.get_mut(key) else { continue };
                let items_start = shown.find("encryptedData").unwrap();
                let places = [format!(" {key}: "), format!("{{{key}: "), format!("\"{key}\": ")];
                let start = places.iter().find_map(|place| shown[items_start..].find(place));
                let start = start.unwrap_or_else(|| panic!("{key} is not in {shown}"));
                let start = items_start + start;
                let start = start + shown[start..].find("<sealed ").unwrap();
                let end = start + shown[start..].find('>').unwrap() + 1;
                shown.replace_range(start..end, "typed in");
                item.clone_from(value);
            }
            let edited = editor.read(&shown).unwrap();
            let sealed = edited.new_values().iter().map(|new| {
                assert_eq!(new.value.as_str(), "typed in");
                (values[&new.key].clone(), Some(receipt(&values[&new.key])))
            });
            edited.finish(&sealed.collect::<Vec<_>>()).unwrap()
        }
        Step::Unset(key) => {
            let removed = remove(text, &[Removal { object: 0, path: path(key) }]);
            if items.remove(key).is_some() {
                removed.unwrap()
            } else {
                removed.map_or(text.to_owned(), |_| unreachable!())
            }
        }
    }
}

/// The line of an item in block style.
fn line_of<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.split_inclusive('\n').find(|line| line.trim_start().starts_with(&format!("{key}: ")))
}

/// The lines of the text that are not items of `spec.encryptedData`.
fn others(text: &str) -> Vec<String> {
    let is_item = |line: &&str| {
        let line = line.trim_start();
        line.len() > 3
            && line.starts_with(|first: char| ('a'..='e').contains(&first))
            && line[1..].starts_with(": ")
    };
    text.split_inclusive('\n')
        .filter(|line| !is_item(line))
        .map(|line| line.replace("encryptedData: {}", "encryptedData:"))
        .collect()
}

/// Texts before and after the mapping of items, and the quotes of its words.
const FLOW_STYLES: [(&str, &str, &str); 3] = [
    (
        "{\n  \"kind\": \"SealedSecret\", \"metadata\": {\"namespace\": \"shop\"},\n  \"spec\": {\"encryptedData\": ",
        ",\n    \"template\":   {}}}\n",
        "\"",
    ),
    (
        "{kind: SealedSecret, metadata:  {namespace: shop}, spec: {encryptedData: ",
        ", template: {}}}  # x: b\n",
        "",
    ),
    ("# head\nkind: SealedSecret\nspec:\n  encryptedData: ", "   # tail\n  template: {}\r\n", ""),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_sequence_of_steps_leaves_every_other_line_and_ends_with_the_items_that_were_set(
        layout in any_layout(),
        start in btree_map("[a-e]", "Ag[A-Za-z0-9]{2,10}", 1..5),
        steps in vec(any_step(), 1..8),
    ) {
        let before = layout.text(&start);
        let (mut text, mut items) = (before.clone(), start.clone());
        for step in &steps {
            text = applied(&text, step, &mut items);
        }
        prop_assert_eq!(others(&text), others(&before), "{}", text);
        let manifest = Manifest::parse(&text).unwrap();
        let found = manifest.sealed_secrets()[0].items();
        let read: BTreeMap<String, String> = found.iter().map(|item| (item.key.clone(), item.ciphertext.clone().unwrap_or_default())).collect();
        prop_assert_eq!(&read, &items);
        let touched: Vec<&str> = steps.iter().flat_map(Step::keys).collect();
        for key in start.keys().filter(|key| !touched.contains(&key.as_str())) {
            prop_assert_eq!(line_of(&text, key), line_of(&before, key));
        }
        for item in &found {
            let last = steps.iter().rev().find(|step| step.keys().contains(&item.key.as_str()));
            let (value, has_receipt) = match last {
                Some(Step::Set { value, has_receipt, .. }) => (value, *has_receipt),
                Some(Step::Edit(values)) => (&values[&item.key], true),
                Some(Step::Reencrypt { values, has_receipt }) => (&values[&item.key], *has_receipt),
                Some(Step::Unset(_)) | None => continue,
            };
            prop_assert_eq!(item.ciphertext.as_ref(), Some(value));
            let wanted = if has_receipt { Found::Valid(receipt(value)) } else { Found::None };
            prop_assert_eq!(&item.receipt, &wanted);
        }
    }

    #[test]
    fn any_sequence_of_steps_in_json_or_flow_style_leaves_all_text_around_the_items(
        (head, tail, quote) in prop::sample::select(FLOW_STYLES.to_vec()),
        start in btree_map("[a-e]", "Ag[A-Za-z0-9]{2,10}", 1..5),
        steps in vec(any_step(), 1..8),
    ) {
        // An item that is never removed: `set` writes the first item of an empty mapping on a line of its own.
        let start: BTreeMap<String, String> = start.into_iter().chain([("z".to_owned(), "AgZ".to_owned())]).collect();
        let entry = |(key, value)| format!("{quote}{key}{quote}: {quote}{value}{quote}");
        let before = format!("{head}{{{}}}{tail}", start.iter().map(entry).collect::<Vec<_>>().join(", "));
        let (mut text, mut items) = (before.clone(), start);
        for step in &steps {
            text = applied(&text, step, &mut items);
        }
        prop_assert!(text.starts_with(head) && text.ends_with(tail), "{}", text);
        let manifest = Manifest::parse(&text).unwrap();
        let found = manifest.sealed_secrets()[0].items();
        prop_assert!(found.iter().all(|item| item.receipt == Found::None), "{}", text);
        let read: BTreeMap<String, String> =
            found.into_iter().map(|item| (item.key, item.ciphertext.unwrap_or_default())).collect();
        prop_assert_eq!(read, items, "{}", text);
    }

    #[test]
    fn a_text_that_is_saved_as_it_was_is_the_file(
        layout in any_layout(),
        start in btree_map("[a-e]", "Ag[A-Za-z0-9]{2,10}", 1..5),
        steps in vec(any_step(), 0..8),
    ) {
        let (mut text, mut items) = (layout.text(&start), start);
        for step in &steps {
            text = applied(&text, step, &mut items);
        }
        for text in [&text, text.trim_end(), &format!("\u{feff}{text}")] {
            let editor = EditorText::of(text).unwrap();
            let edited = editor.read(editor.text()).unwrap();
            prop_assert!(edited.new_values().is_empty());
            prop_assert_eq!(edited.finish(&[]).unwrap(), text);
        }
    }

    /// Text is merged only where one side left it alone.
    #[test]
    fn sequences_of_steps_on_different_items_merge_to_both_in_either_order(
        layout in any_layout(),
        start in btree_map("[a-e]", "Ag[A-Za-z0-9]{2,10}", 1..5),
        steps in vec(any_step(), 1..12),
    ) {
        // A comment that is removed with its item is other text.
        let layout = Layout { has_trailing_comments: false, ..layout };
        let base = layout.text(&start);
        let is_ours = |step: &&Step| step.keys().iter().all(|key| ["a", "c", "e"].contains(key));
        let is_theirs = |step: &&Step| step.keys().iter().all(|key| ["b", "d"].contains(key));
        let side = |steps: Vec<&Step>| {
            let (mut text, mut items) = (base.clone(), start.clone());
            for step in steps {
                text = applied(&text, step, &mut items);
            }
            (text, items)
        };
        let (ours, our_items) = side(steps.iter().filter(is_ours).collect());
        let (theirs, their_items) = side(steps.iter().filter(is_theirs).collect());
        let mut items = start.clone();
        for step in steps.iter().filter(is_ours).chain(steps.iter().filter(is_theirs)) {
            let of = if is_ours(&step) { &our_items } else { &their_items };
            for key in step.keys() {
                match of.get(key) {
                    Some(value) => items.insert(key.to_owned(), value.clone()),
                    None => items.remove(key),
                };
            }
        }
        for (ours, theirs) in [(&ours, &theirs), (&theirs, &ours)] {
            let versions = ThreeWay { base: base.as_str(), ours, theirs };
            let merged = merge(versions, &Markers { size: 7, has_base: false }, |_| Err("a merge of texts")).unwrap();
            prop_assert!(merged.is_clean && merged.conflicts.is_empty());
            prop_assert_eq!(others(&merged.text), others(&base), "{}", merged.text);
            let manifest = Manifest::parse(&merged.text).unwrap();
            let found = manifest.sealed_secrets()[0].items();
            prop_assert!(found.iter().all(|item| item.receipt != Found::Stale), "{}", merged.text);
            let read: BTreeMap<String, String> =
                found.into_iter().map(|item| (item.key, item.ciphertext.unwrap_or_default())).collect();
            prop_assert_eq!(read, items.clone(), "{}", merged.text);
        }
    }

    #[test]
    fn an_item_that_is_added_and_removed_leaves_no_trace(layout in any_layout(), start in btree_map("[b-e]", "Ag[A-Za-z0-9]{2,10}", 1..5), value in "[A-Za-z0-9]{4,12}") {
        let before = layout.text(&start);
        let mut items = start;
        let set = Step::Set { key: "bb".to_owned(), value, has_receipt: true };
        let after = applied(&before, &set, &mut items);
        prop_assert_ne!(&after, &before);
        prop_assert_eq!(applied(&after, &Step::Unset("bb".to_owned()), &mut items), before);
    }

    #[test]
    fn no_text_makes_reading_editing_or_linting_panic(text in prop_oneof![".{0,200}", "[-{}\"'`#:a-z \n]{0,120}", any_template()]) {
        let lines = text.split('\n').count();
        for finding in check(&text, &Expectations::default()) {
            prop_assert!((1..=lines).contains(&finding.line), "{:?}", finding);
        }
        drop((kustomization(&text), bound_objects(&text)));
        prop_assert_eq!(with_summaries(&text), text.as_str());
        for (base, ours, theirs) in [(&text[..], "", &text[..]), ("", &text, &text), (&text, &text, "kind: SealedSecret\n")] {
            let taken = |versions: ThreeWay<&str>| {
                let text = if versions.ours == versions.base { versions.theirs } else { versions.ours };
                Ok::<_, ()>(TextMerge { text: text.to_owned(), is_clean: true })
            };
            drop(merge(ThreeWay { base, ours, theirs }, &Markers { size: 7, has_base: false }, taken));
        }
        if let Ok(editor) = EditorText::of(&text) {
            let unchanged = editor.read(editor.text());
            if let Ok(edited) = unchanged {
                prop_assert!(edited.finish(&[]).map_or(true, |after| after == text || text.contains("#~")), "{}", text);
            }
            drop(editor.read(&text));
        }
        let Ok(manifest) = Manifest::parse(&text) else { return Ok(()) };
        for object in manifest.sealed_secrets() {
            for item in object.items() {
                let path = vec!["spec".to_owned(), "encryptedData".to_owned(), item.key];
                let _ = remove(&text, &[Removal { object: object.index, path }]);
            }
        }
    }
}

fn any_template() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{{ .x }}",
        "{{- if .y }}\n",
        "{{ end }}",
        "\n",
        "  a: AgX\n",
        "kind: SealedSecret\n",
        "spec:\n",
        " encryptedData:\n",
        "{{/* c */}}",
        "{{ \"}}\" }}",
        "---\n",
        "# kubeseal: SHA256:q3Zt0aBcDeFgHiJk strict shop/db 1f0c9a2e71b0",
        "  # kubeseal: ",
        ": ",
        "é",
    ]);
    vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}
