//! `verify` with private keys: which items do not decrypt, and each mistake.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealed_secrets_core::crypto::{KeyPair, KeySize};
use serde_json::{Value, json};

use crate::run::{CERTIFICATE, SECRET, answer, seal, serve_always};
use crate::workspace::{KEY, OTHER_CERTIFICATE, Workspace};

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    fs::copy(KEY, workspace.file("key.pem")).unwrap();
    for name in ["db", "web"] {
        let sealed = seal(&["-o", "yaml"], &SECRET.replace("name: db", &format!("name: {name}"))).stdout;
        workspace.write(&format!("a/{name}.yaml"), &sealed);
    }
    workspace
}

#[test]
fn all_that_decrypts_is_counted_and_receipts_do_not_count() {
    let workspace = workspace();
    let ran = workspace.run("verify a --private-key key.pem");
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (Some(0), "", "2 of 2 SealedSecrets decrypt\n")
    );
    workspace.done("set a/db.yaml password --cert cert.pem", "hunter2");
    let text = workspace.read("a/db.yaml");
    workspace.write("a/db.yaml", &text.replace("name: db", "name: other").replace("shop/db", "shop/other"));
    assert_eq!(workspace.run("verify a --private-key key.pem").code, Some(3));
}

#[test]
fn an_item_that_does_not_decrypt_is_named_with_its_line() {
    let workspace = workspace();
    let text = workspace.read("a/db.yaml");
    let broken = text
        .replace("    password:", "    broken: AgX\n    good: AgX\n    password:")
        .replace("good: AgX", "good: '!'");
    workspace.write("a/db.yaml", &broken);
    let ran = workspace.run("verify a --private-key key.pem");
    let expected = "a/db.yaml:9: shop/db: broken does not decrypt: illegal base64 data at input byte 3\n\
                    a/db.yaml:10: shop/db: good does not decrypt: illegal base64 data at input byte 0\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), expected));
    assert_eq!(ran.stderr, "1 of 2 SealedSecrets decrypt\n");
}

#[test]
fn the_report_for_programs_has_every_field() {
    let workspace = workspace();
    let moved = workspace.read("a/web.yaml").replace("name: web", "name: moved");
    workspace.write("a/web.yaml", &moved);
    workspace.write("a/x.yaml", "kind: SealedSecret\nmetadata: {name: x}\n");
    let ran = workspace.run("verify a -o json --private-key key.pem");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.starts_with("a/x.yaml:1: x: no namespace; ")
            && ran.stderr.ends_with("1 of 3 SealedSecrets decrypt\n"),
        "{}",
        ran.stderr
    );
    let mut report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let unknown = report["objects"][2]["message"].take();
    assert!(unknown.as_str().unwrap().starts_with("no namespace; "), "{unknown}");
    let expected = json!({
        "decryptable": 1, "undecryptable": 1, "unknown": 1, "objects": [
            {"file": "a/db.yaml", "line": 2, "namespace": "shop", "name": "db", "decrypts": true, "message": null},
            {"file": "a/web.yaml", "line": 2, "namespace": "shop", "name": "moved", "decrypts": false,
             "message": "password does not decrypt: no key could decrypt secret"},
            {"file": "a/x.yaml", "line": 1, "namespace": null, "name": "x", "decrypts": null, "message": null},
        ]
    });
    assert_eq!(report, expected);
}

#[test]
fn stdin_is_verified_and_a_list_object_by_object() {
    let workspace = workspace();
    let both = workspace.read("a/db.yaml") + &workspace.read("a/web.yaml");
    let ran = workspace.run_with("verify - --private-key key.pem", both.as_bytes());
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (Some(0), "", "2 of 2 SealedSecrets decrypt\n")
    );
}

/// A file of `kubeseal keys backup` with this key.
fn backup(workspace: &Workspace) {
    let base64 = |path: &str| STANDARD.encode(fs::read(path).unwrap());
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"},
        "data": {"tls.key": base64(KEY), "tls.crt": base64(CERTIFICATE)},
    });
    let list =
        |items: Value| json!({"apiVersion": "v1", "kind": "SecretList", "metadata": {}, "items": items});
    let (keys, none) = (list(json!([secret])), list(json!([])));
    let server = serve_always(move |request| {
        answer("200 OK", if request.contains("/secrets?") { &keys } else { &none })
    });
    workspace.done(&format!("keys backup -o backup.yaml --server http://{server}"), "");
}

#[test]
fn keys_are_those_of_backups_lists_and_bare_files_in_any_number_as_for_recovery() {
    let workspace = workspace();
    backup(&workspace);
    let other = KeyPair::generate(KeySize::Rsa2048).unwrap();
    workspace.write("other.pem", &other.expose_pkcs1_pem().unwrap());
    fs::copy(OTHER_CERTIFICATE, workspace.file("new.pem")).unwrap();
    fs::copy(KEY, workspace.file("a,b.pem")).unwrap();
    for keys in [
        "--private-key backup.yaml",
        "--private-key other.pem,backup.yaml",
        "--private-key other.pem --private-key key.pem",
        "--private-key other.pem,\"a,b.pem\"",
        "--private-key=key.pem,other.pem",
    ] {
        let recovery = keys.replace("--private-key", "--recovery-private-key");
        let ran = workspace.run(&format!("--recovery-unseal -f a/db.yaml {recovery}"));
        assert_eq!(ran.code, Some(0), "{keys}: {}", ran.stderr);
        let ran = workspace.run(&format!("verify a {keys}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), "2 of 2 SealedSecrets decrypt\n"), "{keys}");
        let ran = workspace.run(&format!("unseal a/db.yaml {keys}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{keys}");
        let ran = workspace.run(&format!("reencrypt a --dry-run --cert new.pem {keys}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(3), ""), "{keys}");
    }
    for command in ["verify a", "reencrypt a --cert new.pem", "unseal a/db.yaml"] {
        let ran = workspace.run(&format!("{command} --private-key key.pem,none.pem"));
        assert!(ran.code == Some(1) && ran.stderr.starts_with("error: open none.pem: "), "{}", ran.stderr);
        let ran = workspace.run(&format!("{command} --private-key \"key.pem"));
        assert!(ran.code == Some(2) && ran.stderr.starts_with("error: --private-key: "), "{}", ran.stderr);
    }
}

#[test]
fn for_a_cluster_only_its_files_are_verified() {
    let workspace = workspace();
    workspace.git(&["init", "--quiet"]);
    workspace.write(
        ".kubeseal.yaml",
        "clusters: {prod: {}, stage: {}}\nrules: [{path: 'a/db.yaml', cluster: prod}, {path: 'a/web.yaml', cluster: stage}]\n",
    );
    let text = workspace.read("a/web.yaml");
    workspace.write("a/web.yaml", &text.replace("name: web", "name: moved"));
    workspace.write("a/none.yaml", &text.replace("name: web", "name: none"));
    let verified = |line: &str| {
        let ran = workspace.run(&format!("verify {line} --private-key key.pem"));
        (ran.code, ran.stdout, ran.stderr)
    };
    let all = |count: &str| (Some(0), String::new(), format!("{count} SealedSecrets decrypt\n"));
    assert_eq!(verified("a --for prod"), all("1 of 1"));
    assert_eq!(
        verified("a/db.yaml a/web.yaml a/none.yaml --for prod"),
        all("1 of 1"),
        "files that are named, too"
    );
    assert_eq!(verified("a/web.yaml --for prod"), all("0 of 0"));
    let (code, found, told) = verified("a --for stage");
    assert_eq!((code, told.as_str()), (Some(3), "0 of 1 SealedSecrets decrypt\n"));
    assert!(found.starts_with("a/web.yaml:") && found.lines().count() == 1, "{found}");
    workspace.refused(
        "verify a --for test --private-key key.pem",
        2,
        "has no such cluster; available: prod, stage",
    );
}

#[test]
fn every_mistake_is_named() {
    let workspace = workspace();
    workspace.write("secret.yaml", SECRET);
    workspace.write("none.yaml", "apiVersion: v1\nkind: List\nitems: []\n");
    workspace.write("empty/pod.yaml", "kind: Pod\n");
    for (line, code, message) in [
        ("verify", 2, "<PATH>"),
        ("verify missing.yaml", 1, "open missing.yaml: no such file or directory"),
        ("verify secret.yaml", 1, "secret.yaml:1: a Secret that is not sealed"),
        ("verify empty", 1, "empty: no SealedSecret in this folder"),
        ("verify a --private-key cert.pem", 1, "cert.pem: "),
        ("verify a --private-key none.yaml", 1, "none.yaml: no private key in this file"),
        (
            "verify a --private-key key.pem --private-key none.yaml",
            1,
            "none.yaml: no private key in this file",
        ),
        (
            "verify a --private-key secret.yaml",
            1,
            "secret.yaml: a Secret without a private key in data[\"tls.key\"]",
        ),
        ("verify a --for prod", 2, "--for names a cluster of .kubeseal.yaml"),
        ("verify a --cert cert.pem", 2, "--cert"),
        ("verify a/db.yaml -n web", 2, "the namespace is shop, but -n says web"),
    ] {
        workspace.refused(line, code, message);
    }
    let ran = workspace.run("verify a --server http://127.0.0.1:1");
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr.matches("error: cannot get sealed secret service: Get \"http://127.0.0.1:1/").count(),
        1,
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.ends_with("\nnot checked: 2 SealedSecrets\n"), "{}", ran.stderr);
}
