//! Transcripts: files, streams and exit codes of the program.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::run::{CERTIFICATE, PROGRAM, SECRET, kubeseal, masked, seal, seal_free, serve, serve_once};

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
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(server.join().unwrap(), "GET /v1/cert.pem?x=1 HTTP/1.1");
}

#[test]
fn without_certificate_authorities_an_address_without_tls_is_asked_all_the_same() {
    let (url, server) = serve_once(std::fs::read(CERTIFICATE).unwrap(), || ());
    let folder = TempDir::new().unwrap();
    let none = [("SSL_CERT_FILE", folder.path().join("none")), ("SSL_CERT_DIR", folder.path().to_owned())];
    let ran =
        Command::new(PROGRAM).env_clear().envs(none.clone()).args(["--fetch-cert", "--cert", &url]).output();
    assert!(ran.unwrap().status.success());
    server.join().unwrap();
    let https = url.replace("http://", "https://");
    let ran = Command::new(PROGRAM).env_clear().envs(none).args(["--fetch-cert", "--cert", &https]).output();
    assert!(
        String::from_utf8(ran.unwrap().stderr).unwrap().contains("No CA certificates"),
        "the test takes them away"
    );
}

#[test]
fn user_and_password_of_an_address_are_sent_and_not_shown() {
    let redirect =
        b"HTTP/1.1 302 Found\r\nLocation: ../other?x=2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (address, server) = serve(vec![redirect.to_vec(), b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec()]);
    let ran = seal_free(&["--fetch-cert", "--cert", &format!("http://user:hunter%32@{address}/a/b")]);
    let expected = format!("error: cannot fetch \"http://user:***@{address}/other?x=2\": 404 Not Found\n");
    assert_eq!((ran.code, ran.stderr), (Some(1), expected));
    let requests = server.join().unwrap();
    assert!(
        requests[0].starts_with("GET /a/b HTTP/1.1\r\n")
            && requests[1].starts_with("GET /other?x=2 HTTP/1.1\r\n")
    );
    for request in requests {
        assert!(request.contains("authorization: Basic dXNlcjpodW50ZXIy\r\n"), "{request}");
    }
    for arguments in [
        &["--fetch-cert", "--cert", "http://user:hunter2@127.0.0.1:1/c"][..],
        &["--fetch-cert", "--server", "http://user:hunter2@127.0.0.1:1"],
    ] {
        let ran = seal_free(arguments);
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.stderr.contains("user:***@127.0.0.1:1") && !ran.stderr.contains("hunter2"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
#[cfg(unix)]
fn an_output_that_is_a_link_to_nothing_makes_the_file_it_leads_to() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("real")).unwrap();
    let link =
        |name: &str, target: &str| std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
    link("out.yaml", "second");
    link("second", "real/out.yaml");
    link("loop", "loop");
    let sealing =
        |file: &str| kubeseal(folder.path(), &["--cert", CERTIFICATE, "-w", file], SECRET.as_bytes());
    assert_eq!(sealing("out.yaml").code, Some(0));
    assert!(folder.path().join("out.yaml").is_symlink() && folder.path().join("real/out.yaml").is_file());
    let looped = sealing("loop");
    assert_eq!(looped.code, Some(1));
    assert!(looped.stderr.starts_with("error: open loop: ") && folder.path().join("loop").is_symlink());
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
    assert_eq!(
        seal(&["--version"], "").stdout,
        format!("kubeseal version: v{}\n", env!("CARGO_PKG_VERSION"))
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
}

#[test]
fn a_subcommand_with_the_grammar_of_flags_ends_with_2_and_its_usage() {
    for arguments in [&["completion"][..], &["completion", "tcsh"], &["completion", "bash", "x"]] {
        let ran = seal_free(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        let says_how = ["bash, zsh, fish".to_owned(), format!("Usage: kubeseal {}", arguments[0])];
        assert!(says_how.iter().any(|words| ran.stderr.contains(words)), "{}", ran.stderr);
    }
    let help = seal_free(&["completion", "--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.contains("bash, zsh, fish"), "{}", help.stdout);
}

/// A pseudo terminal of util-linux's `script`, whose input ends at once.
#[test]
#[cfg(target_os = "linux")]
fn on_a_terminal_kubeseal_names_the_awaited_input_on_stderr() {
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
