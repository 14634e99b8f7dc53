//! Items of `encryptedData` that are not strings: every verb rejects them.

use tempfile::TempDir;

use crate::run::{CERTIFICATE, SECRET, kubeseal, seal};
use crate::workspace::KEY;

/// A SealedSecret with two items, of which `password` has this value.
fn sealed_with(value: &str) -> String {
    let secret = SECRET.replace("stringData: {", "stringData: {user: app, ");
    let sealed = seal(&["-o", "yaml"], &secret).stdout;
    let line = sealed.lines().find(|line| line.starts_with("    password: ")).unwrap();
    sealed.replace(line, &format!("    password: {value}"))
}

const NO_TEXT: [&str; 8] = ["{value: AgX}", "\n      value: AgX", "[AgX]", "5", "true", "null", "''", ""];

#[test]
fn an_item_that_is_no_text_is_an_error_of_every_verb_that_names_file_line_and_item() {
    for value in NO_TEXT {
        let folder = TempDir::new().unwrap();
        let text = sealed_with(value);
        let file = folder.path().join("slip.yaml");
        std::fs::write(&file, &text).unwrap();
        let verbs = [
            &["--recovery-unseal", "--recovery-private-key", KEY, "-f", "slip.yaml"][..],
            &["--validate", "-f", "slip.yaml"],
            &["--re-encrypt", "-f", "slip.yaml"],
            &["--cert", CERTIFICATE, "--merge-into", "slip.yaml"],
        ];
        for verb in verbs {
            let ran =
                kubeseal(folder.path(), verb, b"kind: Secret\nmetadata: {name: x}\nstringData: {more: x}\n");
            let expected = "error: slip.yaml: document 1, line 9: spec.encryptedData[\"password\"]: \
                            no key could decrypt secret (password): an item must be the base64 text";
            assert!(ran.stderr.starts_with(expected), "{value} {verb:?}: {}", ran.stderr);
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{value} {verb:?}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
    }
}

#[test]
fn an_item_without_text_can_be_filled_in_by_merging() {
    for value in ["null", "''", "", "5"] {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("slip.yaml"), sealed_with(value)).unwrap();
        let merging = ["--cert", CERTIFICATE, "--merge-into", "slip.yaml"];
        let ran = kubeseal(
            folder.path(),
            &merging,
            b"kind: Secret\nmetadata: {name: x}\nstringData: {password: x}\n",
        );
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{value}");
        let opened = ["--recovery-unseal", "--recovery-private-key", KEY, "-f", "slip.yaml"];
        let opened = kubeseal(folder.path(), &opened, b"");
        assert!(opened.stdout.contains("\"password\": \"eA==\""), "{}{}", opened.stdout, opened.stderr);
    }
}

#[test]
fn a_list_of_sealed_secrets_with_one_slip_is_an_error_as_a_whole() {
    let indented = |text: &str| text.trim_start_matches("---\n").replace('\n', "\n  ");
    let (good, slip) = (sealed_with("AgX"), sealed_with("{}"));
    let list =
        format!("kind: List\nitems:\n- {}\n- {}\n", indented(&good).trim_end(), indented(&slip).trim_end());
    let folder = TempDir::new().unwrap();
    let opening = ["--recovery-unseal", "--recovery-private-key", KEY];
    let ran = kubeseal(folder.path(), &opening, list.as_bytes());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("no key could decrypt secret (password)"), "{}", ran.stderr);
}
