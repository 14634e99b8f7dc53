//! Reports for programs: YAML and JSON have the same content.

use sealed_secrets_core::manifest::{documents, json_as_sent};
use serde_json::{Value, json};

use crate::run::{SECRET, answer, serve_always};
use crate::workspace::{FINGERPRINT, KEY, OTHER_CERTIFICATE, Workspace};

/// An API server with one SealedSecret and one sealing key, whose texts YAML could take for something else.
fn cluster() -> String {
    let object = json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "no", "namespace": "012", "generation": 1},
        "spec": {"encryptedData": {"a": "AgX"}},
        "status": {"observedGeneration": 1, "conditions": [
            {"type": "Synced", "status": "False", "reason": "yes", "message": "a: b # c\n- 'd' \"e\" \u{e9}\u{7f}\u{85}\u{2028}\u{feff}"}]}
    });
    let key = json!({
        "metadata": {"name": "null", "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {}, "status": {"phase": "Primary", "fingerprint": FINGERPRINT, "message": "~"}
    });
    let list = move |kind: &str, item: &Value| {
        answer("200 OK", &json!({"apiVersion": "v1", "kind": kind, "metadata": {}, "items": [item]}))
    };
    serve_always(move |request| match request {
        line if line.contains("/sealingkeys") => list("SealingKeyList", &key),
        _ => list("SealedSecretList", &object),
    })
}

#[test]
fn each_report_in_yaml_has_the_content_of_that_in_json() {
    let workspace = Workspace::new();
    workspace.done(
        "create generic db -n shop --from-literal a=1 --from-literal on=2 -w db.yaml --cert cert.pem",
        "",
    );
    let text = workspace.read("db.yaml");
    workspace.write("moved.yaml", &text.replace("name: db", "name: 'yes'"));
    workspace.write(
        "homeless.yaml",
        "kind: SealedSecret\nmetadata: {name: '1e3'}\nspec: {encryptedData: {'012': AgX}}\n",
    );
    workspace.write("plain.yaml", SECRET);
    let server = format!("--server http://{}", cluster());
    for (line, code) in [
        ("inspect db.yaml moved.yaml homeless.yaml".to_owned(), 0),
        (format!("verify db.yaml moved.yaml homeless.yaml --private-key {KEY}"), 1),
        (format!("verify db.yaml moved.yaml --private-key {KEY}"), 3),
        (
            format!(
                "reencrypt db.yaml moved.yaml homeless.yaml --dry-run --private-key {KEY} --cert {OTHER_CERTIFICATE}"
            ),
            1,
        ),
        (format!("reencrypt db.yaml --dry-run --private-key {KEY} --cert cert.pem"), 0),
        (format!("status -A {server}"), 3),
        (format!("status -A --all {server}"), 3),
        (format!("keys list {server}"), 0),
        ("cert show --cert cert.pem".to_owned(), 0),
    ] {
        let run = |format: &str| {
            let ran = workspace.run(&format!("{line} -o {format}"));
            assert_eq!(ran.code, Some(code), "{line} -o {format}: {}{}", ran.stdout, ran.stderr);
            ran.stdout
        };
        let json: Value = serde_json::from_str(&run("json")).unwrap();
        assert!(json.as_object().is_some_and(|report| !report.is_empty()), "{line}: {json}");
        let yaml = run("yaml");
        let found = documents(&yaml).unwrap();
        assert_eq!(found.len(), 1, "{line}: {yaml}");
        assert_eq!(json_as_sent(&found[0].root), json, "{line}: {yaml}");
    }
}
