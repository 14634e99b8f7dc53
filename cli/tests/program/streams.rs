//! Output that cannot be written.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::process::{Command, Stdio};

use crate::run::{PROGRAM, SECRET, answer, serve_always};
use crate::workspace::{KEY, Workspace};

/// Runs a line with this stdout, and returns the exit code and stderr.
fn run(workspace: &Workspace, line: &str, stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut command = Command::new(PROGRAM);
    command.current_dir(workspace.path()).env_clear().args(line.split_whitespace());
    let output = command.stdin(Stdio::null()).stdout(stdout).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_closed_or_full_stdout_is_an_error_of_each_verb_and_no_panic() {
    let workspace = Workspace::new();
    workspace.done("create generic db -n shop --from-literal a=b --cert cert.pem -w db.yaml", "");
    workspace.write("secret.yaml", SECRET);
    let list = serde_json::json!({
        "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecretList", "metadata": {},
        "items": [{"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "a", "namespace": "b"}}]
    });
    let address = serve_always(move |_| answer("200 OK", &list));
    for line in [
        "inspect db.yaml",
        "inspect -o json db.yaml",
        "seal secret.yaml --cert cert.pem",
        &format!("unseal db.yaml --private-key {KEY}"),
        &format!("unseal db.yaml --item a --private-key {KEY}"),
        &format!("status -A --server http://{address}"),
        &format!("status -A -o yaml --server http://{address}"),
        "completion candidates -- set db.yaml a",
        "lint secret.yaml",
    ] {
        let (code, told) = run(&workspace, line, File::options().write(true).open("/dev/full").unwrap());
        assert_eq!(code, Some(1), "{line}: {told}");
        assert!(told.contains("error: write stdout: no space left on device"), "{line}: {told}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, told) = run(&workspace, line, writer);
        assert_eq!(code, Some(1), "{line}: {told}");
        assert!(told.contains("error: write stdout: broken pipe"), "{line}: {told}");
    }
}
