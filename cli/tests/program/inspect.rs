//! `inspect` shows what files hold, without a key, and never a value.

use std::fs;

use serde_json::{Value, json};

use crate::run::{SECRET, kubeseal, seal};
use crate::workspace::{FINGERPRINT, OTHER_CERTIFICATE, Workspace};

/// A workspace with `db.yaml`: an item of 7 bytes with a receipt, and one of 3 bytes without.
fn filled() -> Workspace {
    let workspace = Workspace::new();
    workspace
        .done("create generic db -n shop --from-literal password=7654321 --cert cert.pem -w db.yaml", "");
    workspace.done(&format!("set db.yaml user --no-receipt --cert {OTHER_CERTIFICATE}"), "app");
    workspace
}

fn digest(workspace: &Workspace, key: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let text = workspace.read("db.yaml");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("    {key}: "))).unwrap();
    let hash = Sha256::digest(line.split(' ').next().unwrap());
    hash.iter().take(6).fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}

fn report(workspace: &Workspace, line: &str) -> Value {
    let ran = workspace.run(&format!("inspect -o json {line}"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn an_object_is_shown_with_lengths_key_and_hash_of_each_item() {
    let workspace = filled();
    let ran = workspace.run("inspect db.yaml");
    let expected = format!(
        "db.yaml:2: shop/db strict Opaque\n  password  7 B  RSA-2048  {FINGERPRINT}  {}\n  user      3 B  RSA-4096  -                        {}\n",
        digest(&workspace, "password"),
        digest(&workspace, "user")
    );
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), expected.as_str(), ""));
}

#[test]
fn programs_get_every_field_in_json_and_yaml() {
    let workspace = filled();
    let wanted = json!({"objects": [{
        "file": "db.yaml", "line": 2, "namespace": "shop", "name": "db", "scope": "strict", "type": "Opaque",
        "items": [
            {"key": "password", "line": 9, "bytes": 7, "keyBits": 2048, "digest": digest(&workspace, "password"),
             "receipt": "valid", "fingerprint": FINGERPRINT, "place": "shop/db"},
            {"key": "user", "line": 10, "bytes": 3, "keyBits": 4096, "digest": digest(&workspace, "user"),
             "receipt": "none", "fingerprint": null, "place": null},
        ],
    }]});
    assert_eq!(report(&workspace, "db.yaml"), wanted);
    let yaml = workspace.run("inspect -o yaml db.yaml");
    assert!(yaml.stdout.starts_with("---\nobjects: [{"), "{}", yaml.stdout);
}

#[test]
fn a_receipt_of_another_ciphertext_is_stale_and_scope_type_and_templates_are_shown() {
    let workspace = filled();
    let item = seal(&["-o", "yaml"], SECRET).stdout;
    let item = item.lines().find_map(|line| line.strip_prefix("    password: ")).unwrap();
    let receipt = "# kubeseal: SHA256:q3Zt0aBcDeFgHiJk strict shop/db 1f0c9a2e71b0";
    workspace.write(
        "odd.yaml",
        &format!(
            "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: {{{{ .Release.Name }}}}-db\n  annotations:\n    \
             sealedsecrets.bitnami.com/cluster-wide: \"true\"\nspec:\n  encryptedData:\n    a: {item}  {receipt}\n    b: {{{{ .Values.b }}}}\n  \
             template:\n    type: kubernetes.io/tls\n"
        ),
    );
    let found = report(&workspace, "odd.yaml");
    let object = &found["objects"][0];
    assert_eq!(object["scope"], "cluster-wide");
    assert_eq!((&object["name"], &object["namespace"]), (&Value::Null, &Value::Null));
    assert_eq!(
        (&object["type"], &object["items"][0]["receipt"]),
        (&json!("kubernetes.io/tls"), &json!("stale"))
    );
    assert_eq!((&object["items"][1]["key"], &object["items"][1]["bytes"]), (&Value::Null, &Value::Null));
    let shown = workspace.run("inspect odd.yaml").stdout;
    assert!(shown.starts_with("odd.yaml:1: {{…}} cluster-wide kubernetes.io/tls\n"), "{shown}");
    assert!(shown.contains("{{…}}  ") && shown.contains("filled in by a template"), "{shown}");
}

#[test]
fn a_value_in_the_place_of_a_ciphertext_or_of_a_key_is_never_shown_nor_hashed() {
    let workspace = Workspace::new();
    let text = "kind: SealedSecret\nmetadata: {name: db}\nspec:\n  encryptedData:\n    password: hunter2\n    pin=hunter2: AgX\n    list: [hunter2]\n";
    workspace.write("db.yaml", text);
    let found = report(&workspace, "db.yaml");
    for (at, key) in [(0, json!("password")), (1, Value::Null), (2, json!("list"))] {
        let item = &found["objects"][0]["items"][at];
        assert_eq!((&item["key"], &item["digest"], &item["bytes"]), (&key, &Value::Null, &Value::Null));
    }
    let shown = workspace.run("inspect db.yaml").stdout;
    assert!(shown.contains("  password       -  not ciphertext  -  -\n  (invalid key)  -  not"), "{shown}");
}

#[test]
fn a_folder_stands_for_its_files_and_those_without_sealed_secrets_are_passed_over() {
    let workspace = filled();
    workspace.write("deploy/a/api.yaml", &workspace.read("db.yaml"));
    workspace.write("deploy/pod.yaml", "kind: Pod\n");
    workspace.write("deploy/chart.yaml", "{{ if .x }}\na: 1\n{{ else }}\na: 2\n{{ end }}\n");
    workspace.write("deploy/readme.md", "kind: SealedSecret\n");
    fs::write(workspace.file("deploy/latin.yaml"), b"a: \xe9\n").unwrap();
    let files = |line: &str| -> Vec<String> {
        let found = report(&workspace, line);
        let objects = found["objects"].as_array().unwrap();
        objects.iter().map(|object| object["file"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(files("deploy"), ["deploy/a/api.yaml"]);
    assert_eq!(files("db.yaml . db.yaml"), ["db.yaml", "deploy/a/api.yaml"]);
    let ran = workspace.run_with("inspect -", workspace.read("db.yaml").as_bytes());
    assert!(ran.stdout.starts_with("-:2: shop/db"), "{}", ran.stdout);
}

#[test]
fn a_path_without_sealed_secrets_fails_and_the_others_are_shown() {
    let workspace = filled();
    workspace.write("plain.yaml", SECRET);
    workspace.write("pod.yaml", "kind: Pod\n");
    workspace.write("empty/pod.yaml", "kind: Pod\n");
    workspace.write("bad/db.yaml", "kind: SealedSecret\n<<<<<<< ours\n");
    workspace.write("broken.yaml", "a: [\n");
    fs::write(workspace.file("latin.yaml"), b"a: \xe9\n").unwrap();
    for (path, message) in [
        ("plain.yaml", "plain.yaml:1: a Secret that is not sealed; seal it first: kubeseal seal -i FILE"),
        ("pod.yaml", "pod.yaml: no SealedSecret in this file"),
        ("empty", "empty: no SealedSecret in this folder"),
        ("bad", "bad/db.yaml:2: a merge conflict that is not resolved"),
        ("broken.yaml", "broken.yaml:1: not valid YAML"),
        ("latin.yaml", "latin.yaml: neither UTF-8 nor UTF-16"),
    ] {
        let ran = workspace.run(&format!("inspect db.yaml {path}"));
        assert_eq!(ran.code, Some(1), "{path}");
        assert!(ran.stdout.starts_with("db.yaml:2: shop/db"), "{path}: {}", ran.stdout);
        assert!(ran.stderr.starts_with(&format!("error: {message}")), "{path}: {}", ran.stderr);
    }
    let ran = workspace.run("inspect pod.yaml empty");
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("error: pod.yaml: no") && ran.stderr.ends_with("error: 2 problems\n"),
        "{}",
        ran.stderr
    );
    workspace.refused("inspect gone.yaml", 1, "open gone.yaml: no such file");
    for (line, message) in
        [("inspect", "required"), ("inspect db.yaml -o table", "table"), ("inspect db.yaml --raw", "--raw")]
    {
        let ran = workspace.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line}");
        assert!(ran.stderr.contains(message), "{line}: {}", ran.stderr);
    }
}

#[test]
fn names_of_a_file_do_not_control_the_terminal() {
    let workspace = Workspace::new();
    let text = "kind: SealedSecret\nmetadata: {name: \"x\\e[31m\\n\"}\nspec:\n  encryptedData: {}\n  template: {type: \"\\e[A\"}\n";
    workspace.write("db.yaml", text);
    let ran = kubeseal(workspace.path(), &["inspect", "db.yaml"], b"");
    assert_eq!(ran.stdout, "db.yaml:1: x\\u{1b}[31m\\n strict \\u{1b}[A\n");
}
