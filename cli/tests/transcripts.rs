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

/// A SealedSecret file as a person keeps it.
fn kept_file(folder: &Path) -> String {
    let ran = kubeseal(folder, &["--cert", CERTIFICATE, "-o", "yaml"], SECRET.as_bytes());
    let text =
        ran.stdout.replace("spec:\n", "spec:   # the sealed part\n").replace("---\n", "# of the shop\n");
    std::fs::write(folder.join("db.yaml"), &text).unwrap();
    text
}

fn merge(folder: &Path, secret: &str) -> String {
    let ran = kubeseal(folder, &["--cert", CERTIFICATE, "--merge-into", "db.yaml"], secret.as_bytes());
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
    std::fs::read_to_string(folder.join("db.yaml")).unwrap()
}

#[test]
fn merging_a_new_item_adds_one_line_and_an_old_one_changes_one() {
    let folder = TempDir::new().unwrap();
    let before = kept_file(folder.path());
    let added = merge(folder.path(), "kind: Secret\nstringData: {user: admin}\n");
    let without: Vec<&str> = added.lines().filter(|line| !line.starts_with("    user: AQ")).collect();
    assert_eq!(without, before.lines().collect::<Vec<_>>());
    let replaced = merge(folder.path(), "kind: Secret\nstringData: {password: changed}\n");
    let changed: Vec<_> = added.lines().zip(replaced.lines()).filter(|(old, new)| old != new).collect();
    assert_eq!(changed.len(), 1);
    assert!(changed[0].1.starts_with("    password: AQ"));
}

#[test]
fn what_cannot_be_merged_leaves_the_file_alone() {
    let folder = TempDir::new().unwrap();
    let before = kept_file(folder.path());
    for input in ["", "kind: ConfigMap\n", "kind: Secret\n", "kind: Secret\nstringData: {a: 012}\n", "{"] {
        let ran =
            kubeseal(folder.path(), &["--cert", CERTIFICATE, "--merge-into", "db.yaml"], input.as_bytes());
        assert_eq!(ran.code, Some(1), "{input}");
        assert_eq!(std::fs::read_to_string(folder.path().join("db.yaml")).unwrap(), before);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
#[cfg(unix)]
fn an_edited_file_keeps_its_mode_and_a_link_stays_a_link() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = TempDir::new().unwrap();
    kept_file(folder.path());
    let real = folder.path().join("real.yaml");
    std::fs::rename(folder.path().join("db.yaml"), &real).unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.yaml", folder.path().join("db.yaml")).unwrap();
    merge(folder.path(), "kind: Secret\nstringData: {user: admin}\n");
    assert!(std::fs::symlink_metadata(folder.path().join("db.yaml")).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(std::fs::read_to_string(&real).unwrap().contains("    user: AQ"));
}

#[test]
fn hostile_input_is_refused_with_document_line_and_field() {
    let level = |level: u32| {
        let before = format!("*a{}", level - 1);
        format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", "))
    };
    let laughs = ["a0: &a0 [x]\n".to_owned()].into_iter().chain((1..12).map(level)).collect::<String>();
    let cases = [
        (laughs.as_str(), "too large or too deeply nested"),
        ("kind: Secret\ndata: {a: YQ==, a: Yg==}\n", "document 1, line 2: the key \"a\" is there twice"),
        ("kind: Secret\ndata:\n\ta: YQ==\n", "document 1, line 3: not valid YAML or JSON"),
        ("kind: List\nitems:\n- kind: Secret\n- kind: Pod\n", "document 1, line 4: expected a Secret"),
        ("kind: Secret\nstringData: {a: [b]}\n", "stringData[\"a\"]: must be text"),
    ];
    for (input, expected) in cases {
        let ran = seal(&[], input);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_target_is_an_error() {
    let ran = seal(&["-w", "/dev/full"], SECRET);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(1), "error: write /dev/full: no space left on device\n")
    );
}

#[test]
fn completions_and_the_manual_page_name_every_action() {
    for arguments in [&["completion", "bash"][..], &["completion", "zsh"], &["completion", "fish"], &["man"]]
    {
        let ran = seal_free(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        for action in ["validate", "merge", "recovery"] {
            assert!(ran.stdout.contains(action), "{arguments:?} {action}");
        }
    }
    assert_eq!(seal_free(&["completion", "tcsh"]).code, Some(1));
}

fn seal_free(arguments: &[&str]) -> Ran {
    let folder = TempDir::new().unwrap();
    kubeseal(folder.path(), arguments, b"")
}
