//! Output that cannot be written.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::run::{PROGRAM, SECRET, answer, serve_always};
use crate::workspace::{FINGERPRINT, KEY, OTHER_CERTIFICATE, Workspace, shape};

/// Runs a line with this stdin and stdout, and returns the exit code and stderr.
fn run(workspace: &Workspace, line: &str, input: &str, stdout: Stdio) -> (Option<i32>, String) {
    let mut command = Command::new(PROGRAM);
    command.current_dir(workspace.path()).env_clear().args(line.split_whitespace());
    let mut child = command.stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A full stdout and a closed one, with their errors.
fn bad_outputs() -> [(Stdio, &'static str); 2] {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (_, closed) = std::io::pipe().unwrap();
    [(full.into(), "write stdout: no space left on device"), (closed.into(), "write stdout: broken pipe")]
}

#[test]
fn a_closed_or_full_stdout_is_an_error_of_each_verb_and_no_panic() {
    let workspace = Workspace::new();
    workspace.done("create generic db -n shop --from-literal a=b --cert cert.pem -w db.yaml", "");
    workspace.write("secret.yaml", SECRET);
    let sealed = workspace.read("db.yaml");
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
        "set - a --generate --cert cert.pem",
        "unset - a",
        "seal - --cert cert.pem",
        "create generic db -n shop --generate a --cert cert.pem",
        &format!("verify db.yaml -o json --private-key {KEY}"),
        &format!("reencrypt db.yaml --dry-run --private-key {KEY} --cert cert.pem"),
        &format!("reencrypt - --private-key {KEY} --cert cert.pem"),
        &format!("reencrypt - --private-key {KEY} --cert {OTHER_CERTIFICATE}"),
    ] {
        for (stdout, error) in bad_outputs() {
            let (code, told) = run(&workspace, line, &sealed, stdout);
            assert_eq!(code, Some(1), "{line}: {told}");
            assert!(told.contains(error) && !told.contains("panicked"), "{line}: {told}");
        }
    }
}

#[test]
fn files_are_written_although_stdout_cannot_be() {
    for index in 0..bad_outputs().len() {
        let workspace = Workspace::new();
        let fails = |line: &str, input: &str| {
            let (stdout, error) = bad_outputs().into_iter().nth(index).unwrap();
            let (code, told) = run(&workspace, line, input, stdout);
            assert_eq!(code, Some(1), "{line}: {told}");
            assert!(told.ends_with(&format!("{error}\n")), "{line}: {told}");
        };
        let texts = || ["a.yaml", "b.yaml"].map(|file| workspace.read(file));
        fails("create generic db -n shop --from-file user=- -w a.yaml -w - -w b.yaml --cert cert.pem", "x");
        let sealed = workspace.read("a.yaml");
        assert_eq!(shape(&sealed), shape(&workspace.read("b.yaml")));
        fails("set a.yaml - b.yaml token --generate --cert cert.pem", &sealed);
        assert!(texts().iter().all(|text| text.contains("\n    token: AQ")));
        fails("unset a.yaml - b.yaml user", &sealed);
        assert!(texts().iter().all(|text| !text.contains("\n    user: ")));
        fails(&format!("reencrypt a.yaml b.yaml --private-key {KEY} --cert {OTHER_CERTIFICATE}"), "");
        assert!(texts().iter().all(|text| !text.contains(FINGERPRINT) && text.contains("# kubeseal: ")));
    }
}
