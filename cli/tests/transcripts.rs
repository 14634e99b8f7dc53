//! What a person or a script sees: the program itself, its files, streams and exit codes. No cluster is needed here.

#![cfg(test)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/rsa2048.crt");
const ELLIPTIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/ec.crt");
const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData: {password: hunter2}\n";

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs kubeseal in `folder`, without a kubeconfig and without variables of the developer.
fn kubeseal(folder: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubeseal"));
    command.current_dir(folder).env_clear().env("KUBECONFIG", folder.join("none")).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The program may end without reading everything.
    drop(child.stdin.take().unwrap().write_all(input));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn seal(arguments: &[&str], input: &str) -> Ran {
    let folder = TempDir::new().unwrap();
    kubeseal(folder.path(), &[&["--cert", CERTIFICATE], arguments].concat(), input.as_bytes())
}

/// The same text with every ciphertext of a 2048 bit key replaced.
fn masked(text: &str) -> String {
    let is_base64 = |character: char| character.is_ascii_alphanumeric() || "+/=".contains(character);
    let mut masked = String::new();
    for piece in text.split_inclusive(|character| !is_base64(character)) {
        let word = piece.trim_end_matches(|character| !is_base64(character));
        masked.push_str(if word.len() > 300 && word.starts_with("AQ") { "AQ…" } else { word });
        masked.push_str(piece.strip_prefix(word).unwrap_or_default());
    }
    masked
}

fn fails(arguments: &[&str], input: &str, expected: &str) {
    let ran = seal(arguments, input);
    assert_eq!(
        (ran.code, ran.stderr.as_str(), ran.stdout.as_str()),
        (Some(1), expected, ""),
        "{arguments:?}"
    );
}

#[test]
fn a_secret_becomes_a_sealed_secret_in_json() {
    let ran = seal(&[], SECRET);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let expected = r#"{
  "kind": "SealedSecret",
  "apiVersion": "bitnami.com/v1alpha1",
  "metadata": {
    "name": "db",
    "namespace": "shop"
  },
  "spec": {
    "template": {
      "metadata": {
        "name": "db",
        "namespace": "shop"
      }
    },
    "encryptedData": {
      "password": "AQ…"
    }
  }
}
"#;
    assert_eq!(masked(&ran.stdout), expected);
}

#[test]
fn several_documents_become_as_many_in_yaml() {
    let ran =
        seal(&["-o", "yaml", "--scope=cluster-wide"], &format!("---\n{SECRET}---\n# nothing\n---\n{SECRET}"));
    let document = "---
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata:
  annotations:
    sealedsecrets.bitnami.com/cluster-wide: \"true\"
  name: db
  namespace: shop
spec:
  encryptedData:
    password: AQ…
  template:
    metadata:
      annotations:
        sealedsecrets.bitnami.com/cluster-wide: \"true\"
      name: db
      namespace: shop
";
    assert_eq!(masked(&ran.stdout), document.repeat(2));
}

#[test]
fn name_and_namespace_come_from_flags_and_variables_where_the_input_has_none() {
    let nameless = "apiVersion: v1\nkind: Secret\nstringData: {a: b}\n";
    let ran = seal(&["--name", "given", "-nspace", "-oyaml"], nameless);
    assert!(ran.stdout.contains("  name: given\n  namespace: space\n"), "{}{}", ran.stdout, ran.stderr);
    let ran = seal(&["--name=given", "--namespace=space"], SECRET);
    assert_eq!(
        ran.stderr,
        "error: namespace mismatch: input secret is in namespace \"shop\" but \"space\" was specified\n"
    );
}

#[test]
fn an_output_file_named_yaml_gets_yaml_and_is_replaced_as_a_whole() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("sealed.yaml");
    std::fs::write(&file, "old content that is longer than nothing").unwrap();
    let ran = kubeseal(folder.path(), &["--cert", CERTIFICATE, "-w", "sealed.yaml"], SECRET.as_bytes());
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("---\napiVersion: bitnami.com/v1alpha1\n"));
}

#[test]
fn a_failure_leaves_the_output_file_as_it_was_and_no_other_behind() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("sealed.yaml"), "precious").unwrap();
    let ran = kubeseal(folder.path(), &["--cert", CERTIFICATE, "-w", "sealed.yaml"], b"kind: ConfigMap");
    assert_eq!(ran.code, Some(1));
    assert_eq!(std::fs::read_to_string(folder.path().join("sealed.yaml")).unwrap(), "precious");
    let files: Vec<PathBuf> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files, [folder.path().join("sealed.yaml")]);
}

#[test]
fn a_certificate_is_taken_from_a_web_server_too() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = std::io::Read::read(&mut connection, &mut request).unwrap();
        let body = std::fs::read_to_string(CERTIFICATE).unwrap();
        write!(
            connection,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().to_owned()
    });
    let folder = TempDir::new().unwrap();
    let url = format!("http://{address}/v1/cert.pem?x=1");
    let ran = kubeseal(folder.path(), &["--cert", &url], SECRET.as_bytes());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(server.join().unwrap(), "GET /v1/cert.pem?x=1 HTTP/1.1");
}

#[test]
fn the_certificate_is_printed_as_it_is() {
    let ran = seal(&["--fetch-cert"], "");
    assert_eq!((ran.code, ran.stdout), (Some(0), std::fs::read_to_string(CERTIFICATE).unwrap()));
}

#[test]
fn bad_input_is_named_with_document_and_line() {
    let none = "error: no secrets found. Ensure the input is valid and UTF-8 encoded\n";
    fails(&[], "", none);
    fails(&[], "---\n# only a comment\n---\n", none);
    let kind = "error: standard input: document 2, line 6: expected a Secret (apiVersion v1) but found a ConfigMap (apiVersion v1)\n";
    fails(&[], &format!("{SECRET}---\napiVersion: v1\nkind: ConfigMap\n"), kind);
    let base64 =
        "error: standard input: document 1, line 4: data[\"a\"]: illegal base64 data at input byte 0\n";
    fails(
        &[],
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\ndata: {a: '%%'}\n",
        base64,
    );
    let empty = "error: secret.data is empty in input Secret, assuming this is an error and aborting. To work with empty data, --allow-empty-data can be used\n";
    fails(&[], "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\n", empty);
    fails(&["-oxml"], SECRET, "error: unsupported output format: xml\n");
    fails(
        &[],
        "apiVersion: v1\nkind: Secret\nstringData: {a: b}\n",
        "error: missing metadata.name in input Secret\n",
    );
    fails(
        &[],
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {a: b}\n",
        "error: secret must declare a namespace\n",
    );
}

#[test]
fn input_that_is_not_utf_8_is_refused() {
    let folder = TempDir::new().unwrap();
    let ran = kubeseal(folder.path(), &["--cert", CERTIFICATE], b"apiVersion: v1\n\xff\xfe");
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(1), "error: standard input: not UTF-8 text at byte 15; save it as UTF-8\n")
    );
}

#[test]
fn no_value_of_a_secret_is_repeated_in_an_error() {
    let ran = seal(
        &[],
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: shop}\nstringData:\n  a: hunter2\n   b: hunter2\n",
    );
    assert_eq!(ran.code, Some(1));
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[test]
fn a_certificate_that_cannot_seal_is_named_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let cases = [
        (ELLIPTIC, format!("error: {ELLIPTIC}: expected RSA public key but found ECDSA\n")),
        ("missing.pem", "error: open missing.pem: no such file or directory\n".to_owned()),
    ];
    for (certificate, expected) in cases {
        let ran = kubeseal(folder.path(), &["--cert", certificate], SECRET.as_bytes());
        assert_eq!((ran.code, ran.stderr), (Some(1), expected));
    }
}

#[test]
fn a_flag_that_does_not_exist_ends_with_2() {
    assert_eq!(seal(&["--bogus"], SECRET).code, Some(2));
}

#[test]
fn the_version_is_printed_in_upstreams_form() {
    assert_eq!(seal(&["--version"], "").stdout, format!("kubeseal version: {}\n", env!("CARGO_PKG_VERSION")));
}
