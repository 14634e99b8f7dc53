//! What a person or a script sees of the program: its files, streams and exit codes.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::run::{CERTIFICATE, PROGRAM, SECRET, kubeseal, masked, seal, seal_free, serve_once};

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
    let (url, server) = serve_once(std::fs::read(CERTIFICATE).unwrap(), || ());
    let folder = TempDir::new().unwrap();
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
fn a_flag_that_does_not_exist_ends_with_2() {
    assert_eq!(seal(&["--bogus"], SECRET).code, Some(2));
}

#[test]
fn the_version_is_printed_in_upstreams_form() {
    assert_eq!(seal(&["--version"], "").stdout, format!("kubeseal version: {}\n", env!("CARGO_PKG_VERSION")));
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

/// A pseudo terminal of util-linux's `script`, on which nobody types anything but the end of input.
#[test]
#[cfg(target_os = "linux")]
fn on_a_terminal_it_says_on_stderr_what_it_waits_for() {
    let folder = TempDir::new().unwrap();
    for (arguments, awaited) in
        [("", "json/yaml k8s resource"), ("--raw -n s --name n", "a secret to encrypt")]
    {
        let line = format!("{PROGRAM} --cert {CERTIFICATE} {arguments} 2>told");
        let mut script = Command::new("script");
        script.current_dir(folder.path()).args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"\x04").unwrap();
        child.wait().unwrap();
        let told = std::fs::read_to_string(folder.path().join("told")).unwrap();
        assert!(told.starts_with(&format!("(tty detected: expecting {awaited} in stdin)\n")), "{told}");
    }
}
