//! Untrusted text on a terminal: it is escaped, and controls nothing.

use std::path::Path;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::prompts::Terminal;
use crate::run::{CERTIFICATE, PROGRAM, Ran, SECRET, answer, kubeseal, seal_free, serve};
use crate::workspace::Workspace;

/// Colours, a character set, cursor movement, bidirectional overrides, invisible characters and a line break.
const HOSTILE: &str = "x\u{1b}[31m\u{1b}[A\u{9b}2K\u{7f}\u{202e}\u{2066}\u{200b}\u{feff}\u{3164}\t\r\nFORGED";
const PRIVATE_KEY: &str = include_str!("../../../core/tests/data/rsa2048-pkcs1.pem");
const SEALED: &str = "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: shop}\n\
                      spec: {encryptedData: {a: AgX}}\n";

/// Asserts that the hostile text is present in escaped form only.
fn assert_harmless(ran: &Ran, what: &str) {
    let shown = format!("{}{}", ran.stdout, ran.stderr);
    assert!(shown.contains("\\u{1b}[31m"), "{what}: {shown:?}");
    let acts = |character: char| {
        (character.is_control() && character != '\n')
            || "\u{202e}\u{2066}\u{200b}\u{feff}\u{3164}".contains(character)
    };
    assert!(!shown.contains(acts), "{what}: {shown:?}");
    assert!(shown.lines().all(|line| !line.starts_with("FORGED")), "{what}: {shown}");
}

/// The text in JSON, all of it in ASCII.
fn quoted(text: &str) -> String {
    let escaped = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    format!("\"{}\"", escaped.collect::<String>())
}

fn hostile_certificate() -> String {
    let request = CertificateRequest {
        common_name: HOSTILE.to_owned(),
        not_before: Timestamp::UNIX_EPOCH,
        validity: SignedDuration::from_hours(24 * 365 * 200),
        serial: [7; 16],
    };
    request.self_sign(&KeyPair::from_pem(PRIVATE_KEY.as_bytes()).unwrap()).unwrap().pem().to_owned()
}

#[test]
fn names_of_certificates_and_files_are_escaped() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("named.pem", &hostile_certificate());
    write("sealed.yaml", SEALED);
    write(HOSTILE, "kind: ConfigMap\n");
    let missing = format!("{HOSTILE}/missing");
    for arguments in [
        &["cert", "show", "--cert", "named.pem"][..],
        &["--cert", &missing],
        &["cert", "show", "--cert", &missing],
        &["--cert", CERTIFICATE, "-f", HOSTILE],
        &["--cert", CERTIFICATE, "-w", &missing],
        &["--cert", CERTIFICATE, "--merge-into", HOSTILE],
        &["--cert", CERTIFICATE, "--raw", "--scope=cluster-wide", "--from-file", &missing],
        &["--validate", "-f", HOSTILE],
        &["--re-encrypt", "-f", HOSTILE],
        &["--recovery-unseal", "-f", HOSTILE],
        &["--recovery-unseal", "--recovery-private-key", HOSTILE, "-f", "sealed.yaml"],
        &["--kubeconfig", &missing, "--fetch-cert"],
        &["--server", "http://127.0.0.1:1", "--certificate-authority", &missing, "--fetch-cert"],
        &["keys", "restore", HOSTILE],
        &["keys", "backup", "-o", HOSTILE],
    ] {
        let ran = kubeseal(folder.path(), arguments, SECRET.as_bytes());
        assert_harmless(&ran, &format!("{arguments:?}"));
    }
}

#[test]
fn words_of_the_command_line_and_of_the_environment_are_escaped() {
    for arguments in [
        &["-o", HOSTILE, "--cert", CERTIFICATE][..],
        &["--scope", HOSTILE],
        &[&format!("--{HOSTILE}")],
        &["keys", HOSTILE],
        &["keys", "list", "-o", HOSTILE],
        &["keys", "rotate", "--timeout", HOSTILE],
        &["cert", "show", "-o", HOSTILE],
        &["completion", HOSTILE],
        &["man", HOSTILE],
    ] {
        assert_harmless(&seal_free(arguments), &format!("{arguments:?}"));
    }
    let ran = |variable: &str, arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        let output = command.env_clear().env(variable, HOSTILE).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    assert_harmless(&ran("SEALED_SECRETS_RAW", &["--cert", CERTIFICATE]), "a variable");
    assert_harmless(
        &ran("SEALED_SECRETS_CONTEXT", &["keys", "list", "--server", "http://127.0.0.1:1"]),
        "context",
    );
}

#[test]
fn names_and_kinds_of_manifests_are_escaped() {
    let folder = TempDir::new().unwrap();
    let kind = format!("apiVersion: v1\nkind: {}\nmetadata: {{name: a}}\n", quoted(HOSTILE));
    let key = format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: {0}}}, data: {{tls.key: eA==}}}}\n",
        quoted(HOSTILE)
    );
    let space = format!(
        "kind: Secret\napiVersion: v1\nmetadata: {{name: a, namespace: {}}}\nstringData: {{a: b}}\n",
        quoted(HOSTILE)
    );
    let annotation = format!(
        "kind: Secret\napiVersion: v1\nmetadata: {{name: a, namespace: b, annotations: {{{}: [x]}}}}\ndata: {{a: eA==}}\n",
        quoted(HOSTILE)
    );
    for (arguments, input) in [
        (&["--cert", CERTIFICATE][..], &kind),
        (&["--cert", CERTIFICATE, "-n", "other"], &space),
        (&["--cert", CERTIFICATE], &annotation),
        (&["--validate"], &kind),
        (&["--re-encrypt"], &kind),
        (&["--recovery-unseal"], &kind),
        (&["keys", "restore", "-"], &kind),
        (&["keys", "restore", "-"], &key),
        (&["keys", "restore", "--skip-invalid", "-"], &key),
    ] {
        let ran = kubeseal(folder.path(), arguments, input.as_bytes());
        assert_harmless(&ran, &format!("{arguments:?} {input:?}"));
    }
}

fn refusal(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "message": HOSTILE, "code": code})
}

/// Runs the command against an API server that gives these responses.
fn against(folder: &Path, arguments: &[&str], answers: &[Vec<u8>]) -> Ran {
    let (address, _server) = serve(answers.to_vec());
    let server = format!("http://{address}");
    kubeseal(folder, &[arguments, &["--server", &server]].concat(), SEALED.as_bytes())
}

#[test]
fn answers_of_servers_are_escaped() {
    let folder = TempDir::new().unwrap();
    let service = answer("200 OK", &json!({"spec": {"ports": [{"name": "http"}]}}));
    let text = |status: &str| answer(status, &HOSTILE.into());
    let forbidden = answer("403 Forbidden", &refusal(403));
    let failed = answer("500 Internal Server Error", &refusal(500));
    for (arguments, answers) in [
        (&["--fetch-cert"][..], vec![forbidden.clone()]),
        (&["--fetch-cert"], vec![text("500 Internal Server Error")]),
        (&["--fetch-cert"], vec![service.clone(), text("502 Bad Gateway")]),
        (&["--validate"], vec![service.clone(), text("502 Bad Gateway")]),
        (&["--re-encrypt"], vec![service.clone(), failed.clone()]),
        (&["keys", "list"], vec![forbidden.clone()]),
        (&["keys", "list"], vec![failed.clone()]),
        (&["keys", "rotate"], vec![forbidden.clone()]),
        (&["keys", "backup", "-o", "keys.yaml"], vec![forbidden.clone()]),
        (&["cert", "fetch"], vec![forbidden.clone()]),
        (&["cert", "show"], vec![failed.clone()]),
    ] {
        assert_harmless(&against(folder.path(), arguments, &answers), &format!("{arguments:?}"));
    }
}

#[test]
fn objects_of_the_cluster_are_escaped() {
    let folder = TempDir::new().unwrap();
    let list = |kind: &str, items: Value| {
        answer("200 OK", &json!({"apiVersion": "v1", "kind": kind, "metadata": {}, "items": items}))
    };
    let named = json!({"name": HOSTILE, "creationTimestamp": "2026-11-01T00:00:00Z"});
    let key = json!({
        "metadata": named, "spec": {}, "status": {"phase": "Primary", "fingerprint": HOSTILE, "message": HOSTILE}
    });
    let keys = list("SealingKeyList", json!([key]));
    let two = list("SealingKeyList", json!([key, key]));
    let plain = list("SealingKeyList", json!([{"metadata": {"name": "k"}, "spec": {}}]));
    let forbidden = answer("403 Forbidden", &refusal(403));
    let none = answer(
        "404 Not Found",
        &json!({"status": "Failure", "reason": "NotFound", "message": "none", "code": 404}),
    );
    let secrets = list("SecretList", json!([{"metadata": named, "data": {"tls.key": "eA=="}}]));
    let policy = answer(
        "200 OK",
        &json!({
            "metadata": {"name": "default", "annotations": {"sealedsecrets.rs/rotate-requested-at": "2026-11-20T00:00:00Z"}},
            "spec": {}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": HOSTILE, "message": HOSTILE,
                "lastTransitionTime": "2026-11-20T00:00:00Z"}]}
        }),
    );
    for (arguments, answers) in [
        (&["keys", "list"][..], vec![keys.clone()]),
        (&["keys", "list", "-o", "wide"], vec![keys.clone()]),
        (&["keys", "retire", "k"], vec![plain.clone(), forbidden.clone()]),
        (&["keys", "revoke", "k"], vec![plain, forbidden]),
        (&["keys", "rotate", "--wait", "--timeout", "1ms"], vec![policy.clone(), policy.clone(), policy]),
        (&["keys", "backup", "-o", "keys.yaml"], vec![secrets.clone(), secrets]),
        (&["cert", "fetch"], vec![keys, none.clone()]),
        (&["cert", "fetch"], vec![two, none]),
    ] {
        assert_harmless(&against(folder.path(), arguments, &answers), &format!("{arguments:?}"));
    }
}

#[test]
fn names_in_a_kubeconfig_are_escaped() {
    let folder = TempDir::new().unwrap();
    let name = quoted(HOSTILE);
    let config = |context: &str, cluster: &str, arguments: &[&str]| {
        let text = format!(
            "current-context: {context}\ncontexts: [{{name: c, context: {{cluster: {name}}}}}]\n\
             clusters: [{{name: a, cluster: {{{cluster}}}}}]\n"
        );
        std::fs::write(folder.path().join("config"), text).unwrap();
        kubeseal(folder.path(), &[&["--kubeconfig", "config", "--fetch-cert"], arguments].concat(), b"")
    };
    let server = format!("server: {}", quoted(&format!("http://{HOSTILE}")));
    let authority = format!("server: http://a, certificate-authority: {name}");
    assert_harmless(&config("c", "", &[]), "cluster");
    assert_harmless(&config(&name, "", &[]), "context");
    assert_harmless(&config("c", &server, &["--cluster", "a"]), "server");
    assert_harmless(&config("c", &authority, &["--cluster", "a"]), "authority");
}

#[test]
fn a_report_for_programs_is_not_escaped() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("named.pem"), hostile_certificate()).unwrap();
    let show = |format: &str| {
        let ran = kubeseal(folder.path(), &["cert", "show", "--cert", "named.pem", "-o", format], b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        let documents = sealed_secrets_core::manifest::documents(&ran.stdout).unwrap();
        sealed_secrets_core::manifest::json_of(&documents[0].root)
    };
    for format in ["json", "yaml"] {
        assert_eq!(show(format)["commonName"], HOSTILE, "{format}");
    }
}

/// An escape sequence that sets colours or styles.
fn has_colours(shown: &str) -> bool {
    shown.contains("\u{1b}[")
}

#[test]
#[cfg(target_os = "linux")]
fn no_color_and_a_dumb_terminal_disable_the_colours_of_every_message() {
    let workspace = Workspace::new();
    workspace.write("plain.yaml", SECRET);
    let mut is_ever_coloured = false;
    for (line, code) in [
        ("set --bogus", 2),
        ("set", 2),
        ("keys list --bogus", 2),
        ("create generic db --generate a=1", 2),
        ("--bogus", 2),
        ("seal --help", 0),
        ("lint plain.yaml", 3),
        ("inspect none.yaml", 1),
    ] {
        let with = |around: &str, kind: &str| {
            Terminal::shell_on(&workspace, kind, &format!("{around} {PROGRAM} {line}")).end(code)
        };
        for (around, kind) in [
            ("NO_COLOR=1", "xterm-256color"),
            ("NO_COLOR=1 CLICOLOR=1", "xterm"),
            ("", "dumb"),
            ("CI=true", "dumb"),
        ] {
            let shown = with(around, kind);
            assert!(!has_colours(&shown), "{around} {kind} {line}: {shown:?}");
        }
        is_ever_coloured |= has_colours(&with("", "xterm"));
    }
    assert!(is_ever_coloured, "else there would be nothing to disable");
}
