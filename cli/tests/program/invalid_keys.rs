//! Keys that no item can have: they may be values at the wrong place, so no message quotes them. `Workspace` looks for the value.

use std::fs;
use std::process::Command;

use crate::run::PROGRAM;
use crate::workspace::{KEY, Workspace};

const HEAD: &str =
    "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: shop}\nspec:\n";
const SEAL: &str = "--cert cert.pem";
const OPEN: &str = "--private-key key.pem";

/// A file with these items.
fn with_items(items: &str) -> Workspace {
    let workspace = Workspace::new();
    fs::copy(KEY, workspace.file("key.pem")).unwrap();
    workspace.write("db.yaml", &format!("{HEAD}  encryptedData:\n{items}"));
    workspace
}

/// Runs a line that fails or has findings, and returns all that it prints.
fn told(workspace: &Workspace, line: &str) -> String {
    let ran = workspace.run(line);
    assert!(matches!(ran.code, Some(1..=3)), "{line}: {:?} {}{}", ran.code, ran.stdout, ran.stderr);
    ran.stdout + &ran.stderr
}

#[test]
fn a_duplicate_key_is_named_by_its_line_only() {
    let workspace = with_items("    p=hunter2: AgX\n    p=hunter2: AgX\n");
    for line in [
        format!("set db.yaml a --generate {SEAL}"),
        "unset db.yaml a".to_owned(),
        format!("edit db.yaml {SEAL}"),
        "inspect db.yaml".to_owned(),
        format!("verify db.yaml {OPEN}"),
        format!("unseal db.yaml {OPEN}"),
        format!("reencrypt db.yaml {OPEN} {SEAL}"),
    ] {
        let told = told(&workspace, &line);
        assert!(told.contains("db.yaml:7: duplicate key; remove one\n"), "{line}: {told}");
    }
    assert!(told(&workspace, "lint db.yaml").starts_with("db.yaml:7: error[KS005]: duplicate key\n"));
    workspace.write("secret.yaml", "kind: Secret\nstringData:\n  p=hunter2: a\n  p=hunter2: b\n");
    assert!(told(&workspace, "seal secret.yaml").contains("secret.yaml:4: duplicate key; remove one\n"));
}

#[test]
fn a_value_of_the_wrong_type_is_named_by_its_line_only() {
    let workspace = with_items("    p=hunter2: 5\n");
    for line in [
        format!("set db.yaml a --generate {SEAL}"),
        "unset db.yaml a".to_owned(),
        format!("edit db.yaml {SEAL}"),
        format!("verify db.yaml {OPEN}"),
        format!("unseal db.yaml {OPEN}"),
        format!("reencrypt db.yaml {OPEN} {SEAL}"),
    ] {
        let told = told(&workspace, &line);
        assert!(told.contains("db.yaml:6: spec.encryptedData[(invalid key)]: "), "{line}: {told}");
    }
    for (field, value) in [("stringData", "[a]"), ("data", "'!'")] {
        workspace.write(
            "secret.yaml",
            &format!("kind: Secret\nmetadata: {{name: a, namespace: b}}\n{field}:\n  p=hunter2: {value}\n"),
        );
        let told = told(&workspace, &format!("seal secret.yaml {SEAL}"));
        assert!(told.contains(&format!("secret.yaml:4: {field}[(invalid key)]: ")), "{told}");
    }
}

#[test]
fn an_item_that_does_not_decrypt_is_named_by_its_line_only() {
    let workspace = with_items("    p=hunter2: AgX\n    good: AgX\n");
    for output in ["text", "json"] {
        let told = told(&workspace, &format!("verify db.yaml -o {output} {OPEN}"));
        assert!(
            told.contains("(invalid key) does not decrypt: ") && told.contains("good does not decrypt: "),
            "{told}"
        );
    }
    let told = told(&workspace, &format!("unseal db.yaml {OPEN}"));
    assert!(told.contains("shop/db: ") && told.contains("(invalid key)") && told.contains("good"), "{told}");
}

#[test]
fn a_conflict_and_a_removal_are_named_by_their_lines_only() {
    let workspace = with_items("    p=hunter2: AgX\n    good: AgX\n");
    let base = workspace.read("db.yaml");
    workspace.write("base.yaml", &base);
    for (side, text) in [("ours.yaml", "AgY"), ("theirs.yaml", "AgZ")] {
        workspace.write(side, &base.replacen("AgX", text, 1));
    }
    let told = told(&workspace, "git merge base.yaml ours.yaml theirs.yaml");
    assert!(
        told.contains("ours.yaml:") && told.contains(": (invalid key): both sides changed this item\n"),
        "{told}"
    );
    let mut command = Command::new(PROGRAM);
    command.current_dir(workspace.path()).env_clear().env("PATH", "/usr/bin:/bin");
    command
        .env("KUBE_EDITOR", "sed -i /hunter2/d")
        .args(["edit", "db.yaml", "--tmpdir", ".", "--cert", "cert.pem"]);
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("db.yaml:6: (invalid key) removed from shop/db\n"), "{told}");
}

#[test]
fn findings_of_lint_do_not_name_it() {
    let workspace = with_items("    p=hunter2: AgX\n  template: {data: {p=hunter2: x, secret hunter2: x}}\n");
    let told = told(&workspace, "lint db.yaml");
    for rule in ["KS010", "KS024", "KS025", "KS030"] {
        assert!(told.contains(rule), "{told}");
    }
}

#[test]
fn a_word_too_many_is_not_quoted() {
    let workspace = with_items("    good: AgX\n");
    for line in [
        "edit db.yaml hunter2",
        "git install hunter2",
        "keys list hunter2",
        "cert show hunter2",
        "git textconv db.yaml hunter2",
    ] {
        workspace.refused(
            line,
            2,
            "there is an argument too many, which is not shown, since it may be a value; kubeseal ",
        );
    }
    workspace.refused("keys list --hunter", 2, "unexpected argument '--hunter' found");
}
