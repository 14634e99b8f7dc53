//! Merges of files with SealedSecrets, item by item.

#![cfg(test)]

use sealed_secrets_core::manifest::merge::{Conflict, Markers, Merged, TextMerge, ThreeWay, merge};

/// Merges texts of which one side left the base alone, or both made the same of it.
fn trivial(versions: ThreeWay<&str>) -> Result<TextMerge, ()> {
    let ThreeWay { base, ours, theirs } = versions;
    let taken = |text: &str| Ok(TextMerge { text: text.to_owned(), is_clean: true });
    match () {
        () if ours == base => taken(theirs),
        () if theirs == base || ours == theirs => taken(ours),
        () => Ok(TextMerge { text: "conflict\n".to_owned(), is_clean: false }),
    }
}

const MARKERS: Markers = Markers { size: 7, has_base: false };

fn merged(base: &str, ours: &str, theirs: &str) -> Merged {
    merge(ThreeWay { base, ours, theirs }, &MARKERS, trivial).unwrap()
}

fn file(items: &str) -> String {
    format!(
        "# top\nkind: SealedSecret\nmetadata: {{name: db}}\nspec:\n  encryptedData:{items}\n  template: {{}}\n"
    )
}

fn clean(base: &str, ours: &str, theirs: &str, wanted: &str) {
    let [base, ours, theirs, wanted] = [base, ours, theirs, wanted].map(file);
    for (ours, theirs) in [(&ours, &theirs), (&theirs, &ours)] {
        let found = merged(&base, ours, theirs);
        assert_eq!((found.text.as_str(), found.is_clean), (wanted.as_str(), true));
    }
}

#[test]
fn changes_of_neighbouring_items_merge() {
    clean("\n    a: A\n    b: B", "\n    a: A2\n    b: B", "\n    a: A\n    b: B2", "\n    a: A2\n    b: B2");
    clean(
        "\n    a: A\n    d: D",
        "\n    a: A\n    b: B\n    d: D",
        "\n    a: A\n    c: C\n    d: D",
        "\n    a: A\n    b: B\n    c: C\n    d: D",
    );
    clean(
        "\n    a: A\n    b: B\n    c: C",
        "\n    b: B\n    c: C",
        "\n    a: A\n    b: B2\n    c: C",
        "\n    b: B2\n    c: C",
    );
    clean("\n    b: B", "\n    a: A\n    b: B", "\n    b: B\n    c: C", "\n    a: A\n    b: B\n    c: C");
}

#[test]
fn the_first_and_the_last_items_come_and_go() {
    clean(" {}", "\n    a: A", "\n    b: B", "\n    a: A\n    b: B");
    clean("\n    a: A", " {}", "\n    a: A\n    b: B", "\n    b: B");
    clean("\n    a: A\n    b: B", "\n    a: A", "\n    b: B", " {}");
    clean("\n    a: A", " {}", " {}", " {}");
}

#[test]
fn receipts_and_comments_go_with_their_items() {
    let receipt = "  # kubeseal: SHA256:q3Zt0aBcDeFgHiJk strict shop/db 1f0c9a2e71b0";
    clean(
        "\n    # about a\n    a: A  # why\n    b: B",
        &format!("\n    # about a\n    a: A2  # why{receipt}\n    b: B"),
        "\n    # about a\n    a: A  # why\n    b: B\n    c: >-\n      C\n      C  # no comment",
        &format!(
            "\n    # about a\n    a: A2  # why{receipt}\n    b: B\n    c: >-\n      C\n      C  # no comment"
        ),
    );
    clean(
        "\n    # about a\n    a: A",
        "\n    # about it\n    a: A",
        "\n    # about a\n    a: 'A2'",
        "\n    # about it\n    a: 'A2'",
    );
}

#[test]
fn braces_and_json_merge_too() {
    clean(
        " {a: A, b: B}",
        " {a: A2, b: B}",
        " {a: A, b: B, c: C}",
        " {a: A2, b: B, \"c\": \"C\"}".replace("\"c\": \"C\"", "c: C").as_str(),
    );
    let json = |items: &str| {
        format!(
            "{{\n  \"kind\": \"SealedSecret\",\n  \"spec\": {{\n    \"encryptedData\": {{{items}}}\n  }}\n}}\n"
        )
    };
    let found = merged(
        &json("\n      \"a\": \"A\"\n    "),
        &json("\n      \"a\": \"A\",\n      \"b\": \"B\"\n    "),
        &json("\n      \"a\": \"A\",\n      \"c\": \"C\"\n    "),
    );
    assert_eq!(found.text, json("\n      \"a\": \"A\",\n      \"b\": \"B\",\n      \"c\": \"C\"\n    "));
    assert!(found.is_clean);
}

#[test]
fn a_conflict_encloses_its_item_only() {
    let found = merged(
        &file("\n    a: A\n    b: B\n    c: C"),
        &file("\n    a: A2\n    b: B1\n    c: C"),
        &file("\n    a: A\n    b: B2\n    c: C2"),
    );
    let wanted = file("\n    a: A2\n<<<<<<< ours\n    b: B1\n=======\n    b: B2\n>>>>>>> theirs\n    c: C2");
    assert_eq!((found.text, found.is_clean), (wanted, false));
    assert_eq!(found.conflicts, [Conflict { line: 7, key: "b".to_owned() }]);
    let gone = merged(&file("\n    a: A\n    b: B"), &file("\n    a: A"), &file("\n    a: A\n    b: B2"));
    assert_eq!(gone.text, file("\n    a: A\n<<<<<<< ours\n=======\n    b: B2\n>>>>>>> theirs"));
    let markers = Markers { size: 9, has_base: true };
    let versions = [file("\n    a: A"), file("\n    a: B"), file("\n    a: C")];
    let [base, ours, theirs] = versions.each_ref().map(String::as_str);
    let found = merge(ThreeWay { base, ours, theirs }, &markers, trivial).unwrap();
    let wanted =
        "\n<<<<<<<<< ours\n    a: B\n||||||||| base\n    a: A\n=========\n    a: C\n>>>>>>>>> theirs";
    assert_eq!(found.text, file(wanted));
}

#[test]
fn an_item_that_is_sealed_for_a_former_name_is_a_conflict() {
    let base = file("\n    a: A");
    let ours = file("\n    a: A2").replace("name: db", "name: web");
    let theirs = file("\n    a: A\n    b: B");
    let found = merged(&base, &ours, &theirs);
    assert_eq!((found.is_clean, found.conflicts.len()), (false, 1));
    assert!(
        found.text.contains("name: web")
            && found.text.contains("    a: A2\n<<<<<<< ours\n=======\n    b: B\n"),
        "{}",
        found.text
    );
}

#[test]
fn several_objects_merge_each_on_its_own() {
    let two = |one: &str, other: &str| {
        format!("{}---\n{}", file(one), file(other).replace("name: db", "name: web"))
    };
    let found = merged(
        &two("\n    a: A", "\n    a: A"),
        &two("\n    a: B", "\n    a: A"),
        &two("\n    a: A", "\n    a: C\n    b: B"),
    );
    assert_eq!((found.text, found.is_clean), (two("\n    a: B", "\n    a: C\n    b: B"), true));
}

#[test]
fn a_version_that_cannot_be_parsed_is_merged_as_text() {
    for broken in ["a: [", "\u{1}", "kind: ConfigMap\n", ""] {
        let found = merged(&file("\n    a: A"), broken, &file("\n    a: A"));
        assert_eq!((found.text.as_str(), found.is_clean), (broken, true));
    }
}

#[test]
fn line_breaks_and_a_missing_final_line_break_stay() {
    let crlf = |text: &str| file(text).replace('\n', "\r\n");
    let found = merged(&crlf("\n    a: A"), &crlf("\n    a: A\n    b: B"), &crlf("\n    a: A\n    c: C"));
    assert_eq!(found.text, crlf("\n    a: A\n    b: B\n    c: C"));
    let open = |items: &str| format!("kind: SealedSecret\nspec:\n  encryptedData:{items}");
    let found = merged(&open("\n    a: A"), &open("\n    a: A\n    b: B"), &open("\n    a: A\n    c: C"));
    assert_eq!(found.text, open("\n    a: A\n    b: B\n    c: C"));
    let found = merged(&open("\n    a: A\n    b: B"), &open("\n    a: A"), &open("\n    a: A2\n    b: B"));
    assert_eq!((found.text, found.is_clean), (open("\n    a: A2"), true));
}
