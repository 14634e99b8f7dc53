//! Files with conflict markers of Git: one error, at the first marker.

use std::fs;

use crate::run::{CERTIFICATE, kubeseal};
use crate::workspace::{KEY, Workspace, git_command};

const REASON: &str = "a merge conflict that is not resolved; keep what is right of its sides, and remove the lines that begin with <<<<<<<, ======= and >>>>>>>";

/// A workspace whose file `db.yaml`, or `db.json`, two branches have changed at the same item, merged by Git itself.
fn conflicted(name: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("key.pem", &fs::read_to_string(KEY).unwrap());
    workspace
        .done(&format!("create generic db -n shop --from-literal user=app -w {name} --cert cert.pem"), "");
    workspace.git(&["init", "--quiet", "--initial-branch=main"]);
    workspace.git(&["add", name]);
    workspace.git(&["commit", "--quiet", "-m", "one"]);
    workspace.git(&["checkout", "--quiet", "-b", "theirs"]);
    workspace.done(&format!("set {name} user --cert cert.pem"), "theirs");
    workspace.git(&["commit", "--quiet", "-am", "two"]);
    workspace.git(&["checkout", "--quiet", "main"]);
    workspace.done(&format!("set {name} user --cert cert.pem"), "ours");
    workspace.git(&["commit", "--quiet", "-am", "three"]);
    let merged = git_command(workspace.path(), &["merge", "--quiet", "theirs"]).output().unwrap();
    assert_eq!(merged.status.code(), Some(1));
    workspace
}

fn line_of_marker(text: &str) -> usize {
    text.lines().position(|line| line.starts_with("<<<<<<< ")).unwrap() + 1
}

#[test]
fn each_command_names_file_and_line_and_what_to_do_and_changes_nothing() {
    for name in ["db.yaml", "db.json"] {
        let workspace = conflicted(name);
        let before = workspace.read(name);
        let line = line_of_marker(&before);
        for command in [
            "set FILE user --generate --cert cert.pem",
            "unset FILE user",
            "edit FILE --cert cert.pem",
            "seal FILE --cert cert.pem",
            "inspect FILE",
            "reencrypt FILE --private-key key.pem --cert cert.pem",
            "verify FILE --private-key key.pem",
            "unseal FILE --private-key key.pem",
        ] {
            let command = command.replace("FILE", name);
            let ran = workspace.run(&command);
            let expected = format!("error: {name}:{line}: {REASON}\n");
            assert_eq!((ran.code, ran.stderr, ran.stdout.as_str()), (Some(1), expected, ""), "{command}");
        }
        assert_eq!(workspace.read(name), before);
    }
}

#[test]
fn the_flags_of_the_original_name_the_line_too() {
    let workspace = conflicted("db.yaml");
    let line = line_of_marker(&workspace.read("db.yaml"));
    for arguments in [
        &["--re-encrypt", "-f", "db.yaml"][..],
        &["--validate", "-f", "db.yaml"],
        &["--recovery-unseal", "--recovery-private-key", "key.pem", "-f", "db.yaml"],
        &["--cert", CERTIFICATE, "--merge-into", "db.yaml"],
    ] {
        let secret = "kind: Secret\nmetadata: {name: x}\nstringData: {more: x}\n";
        let ran = kubeseal(workspace.path(), arguments, secret.as_bytes());
        let expected = format!("error: db.yaml: document 1, line {line}: {REASON}\n");
        assert_eq!((ran.code, ran.stderr), (Some(1), expected), "{arguments:?}");
    }
}

#[test]
fn the_other_files_of_a_folder_are_processed() {
    let workspace = conflicted("db.yaml");
    let line = line_of_marker(&workspace.read("db.yaml"));
    workspace.done("create generic web -n shop --from-literal user=app -w web.yaml --cert cert.pem", "");
    let ran = workspace.run("inspect .");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.starts_with("web.yaml:2: shop/web strict"), "{}", ran.stdout);
    assert_eq!(ran.stderr, format!("error: db.yaml:{line}: {REASON}\n"));
    let ran = workspace.run("reencrypt . --private-key key.pem --cert cert.pem");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains(&format!("db.yaml:{line}: {REASON}")), "{}", ran.stderr);
}

#[test]
fn lint_has_one_finding_for_a_conflict_whatever_it_cuts_through() {
    let workspace = Workspace::new();
    let sealed = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: shop}\nspec: {encryptedData: {}}\n";
    let secret = "kind: Secret\nstringData: {a: hunter2}\n";
    for (text, expected) in [
        // Within a document, between documents, and around a file; the last two are YAML for a parser.
        (format!("{sealed}<<<<<<< HEAD\na: b\n=======\na: c\n>>>>>>> theirs\n"), &["5 KS004"][..]),
        (format!("<<<<<<< HEAD\n---\n{sealed}=======\n---\n{sealed}>>>>>>> theirs\n"), &["1 KS004"]),
        (format!("{sealed}---\n<<<<<<< HEAD\n---\na: b\n---\n=======\n>>>>>>> theirs\n"), &["6 KS004"]),
        // A document beside it is checked as ever.
        (
            format!("{secret}---\n{sealed}<<<<<<< HEAD\na: b\n=======\n>>>>>>> theirs\n"),
            &["1 KS001", "8 KS004"],
        ),
        // A marker that is left.
        (format!("{sealed}<<<<<<< HEAD\na: b\n"), &["5 KS004"]),
        ("kind: ConfigMap\n<<<<<<< HEAD\na: b\n=======\na: c\n>>>>>>> theirs\n".to_owned(), &[]),
    ] {
        workspace.write("db.yaml", &text);
        let ran = workspace.run("lint db.yaml -o json");
        let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let found = found["findings"].as_array().unwrap().iter();
        let found: Vec<String> = found
            .map(|finding| format!("{} {}", finding["line"], finding["rule"].as_str().unwrap()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}
