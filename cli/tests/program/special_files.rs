//! Named pipes, devices, sockets and folders where a file of a known name is expected: nothing is waited for, and all are named.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use crate::run::{CERTIFICATE, PROGRAM, SECRET};
use crate::workspace::{KEY, Workspace};

/// Runs a line, and ends it after a minute.
fn run(workspace: &Workspace, line: &str) -> (Option<i32>, String) {
    let mut command = Command::new("timeout");
    command
        .current_dir(workspace.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", workspace.path());
    command
        .env("KUBE_EDITOR", "true")
        .args(["60", PROGRAM])
        .args(line.split_whitespace())
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

fn make_pipe(workspace: &Workspace, name: &str) {
    let file = workspace.file(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
}

/// A workspace with a SealedSecret and a Secret.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.done("create generic db -n shop --from-literal user=app -w db.yaml --cert cert.pem", "");
    workspace.write("plain.yaml", SECRET);
    workspace.write("key.pem", &fs::read_to_string(KEY).unwrap());
    workspace
}

/// Commands that look for the project file; each has all that it needs.
const LINES: [&str; 7] = [
    "create generic new -n shop --generate token -w new.yaml --cert cert.pem",
    "set db.yaml token --generate --cert cert.pem",
    "unset db.yaml user",
    "edit db.yaml --cert cert.pem",
    "seal -i plain.yaml --cert cert.pem",
    "reencrypt db.yaml --private-key key.pem --cert cert.pem",
    "lint .",
];

#[test]
fn a_project_file_that_is_no_regular_file_is_refused_by_each_command_that_looks_for_it() {
    let workspace = workspace();
    let project = workspace.file(".kubeseal.yaml");
    let mut socket = None;
    for kind in ["named pipe", "device", "socket", "folder"] {
        match kind {
            "named pipe" => make_pipe(&workspace, ".kubeseal.yaml"),
            "device" => symlink("/dev/null", &project).unwrap(),
            "socket" => socket = Some(UnixListener::bind(&project).unwrap()),
            _ => fs::create_dir(&project).unwrap(),
        }
        let (names, before) = (workspace.names(), workspace.read("db.yaml"));
        for line in LINES.iter().filter(|line| !line.starts_with("unset")) {
            let expected = format!(
                "error: .kubeseal.yaml:1: a {kind}, not a regular file; put a regular file in its place\n"
            );
            assert_eq!(run(&workspace, line), (Some(2), expected), "{line}");
        }
        assert_eq!((workspace.names(), workspace.read("db.yaml")), (names, before));
        if kind == "folder" { fs::remove_dir(&project) } else { fs::remove_file(&project) }.unwrap();
    }
    drop(socket);
}

#[test]
fn a_certificate_of_the_project_that_is_no_regular_file_is_refused() {
    let workspace = workspace();
    make_pipe(&workspace, "keys/pipe.pem");
    for (certificate, kind) in [("keys/pipe.pem", "named pipe"), ("/dev/zero", "device"), ("keys", "folder")]
    {
        let project = format!("clusters:\n  a: {{certificate: {certificate}}}\nrules:\n- {{cluster: a}}\n");
        workspace.write(".kubeseal.yaml", &project);
        let reason = format!("{certificate}: a {kind}, not a regular file; put a regular file in its place");
        for line in LINES.iter().filter(|line| line.contains(" --cert ")) {
            let line = line.strip_suffix(" --cert cert.pem").unwrap();
            let (code, told) = run(&workspace, line);
            assert!(code == Some(1) && told.contains("error: ") && told.contains(&reason), "{line}: {told}");
        }
        let (code, told) = run(&workspace, "lint db.yaml");
        assert_eq!(code, Some(3), "{told}");
        assert!(told.contains(&format!("the certificate of a: {reason}")), "{told}");
    }
}

#[test]
fn resources_of_a_kustomization_that_are_no_regular_files_are_passed_over() {
    let workspace = workspace();
    make_pipe(&workspace, "base/pipe.yaml");
    make_pipe(&workspace, "other/kustomization.yaml");
    workspace.write("base/kustomization.yaml", "namespace: a\nresources: [pipe.yaml, ../other, /dev/tty]\n");
    assert_eq!(run(&workspace, "lint base other").0, Some(0));
}

#[test]
fn files_of_a_clone_that_are_no_regular_files_are_refused() {
    for name in [".git/hooks/pre-commit", ".git/info/attributes"] {
        let workspace = workspace();
        workspace.git(&["init", "--quiet"]);
        drop(fs::remove_file(workspace.file(name)));
        make_pipe(&workspace, name);
        for line in ["git install", "git uninstall"] {
            let (code, told) = run(&workspace, line);
            assert_eq!(code, Some(1), "{line}: {told}");
            assert!(
                told.contains(&format!("error: {name}: a named pipe, not a regular file")),
                "{line}: {told}"
            );
        }
    }
}

#[test]
fn a_gitignore_that_is_no_regular_file_is_refused_outside_of_a_work_tree() {
    for (name, shown) in [(".gitignore", "./.gitignore"), ("a/b/.gitignore", "./a/b/.gitignore")] {
        let workspace = workspace();
        make_pipe(&workspace, name);
        let expected =
            format!("error: {shown}: a named pipe, not a regular file; put a regular file in its place\n");
        assert_eq!(run(&workspace, "lint ."), (Some(1), expected));
    }
}

#[test]
fn a_kubeconfig_of_the_default_name_that_is_no_regular_file_is_refused() {
    let workspace = workspace();
    make_pipe(&workspace, ".kube/config");
    let (code, told) = run(&workspace, "--fetch-cert");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("/.kube/config: a named pipe, not a regular file"), "{told}");
}

#[test]
fn words_are_completed_without_waiting_for_a_pipe() {
    let workspace = workspace();
    make_pipe(&workspace, "pipe.yaml");
    assert_eq!(run(&workspace, "completion candidates -- set pipe.yaml p"), (Some(0), String::new()));
}

#[test]
fn a_pipe_that_the_user_names_is_read() {
    let workspace = workspace();
    for (name, text) in
        [("cert.fifo", fs::read_to_string(CERTIFICATE).unwrap()), ("value.fifo", "hunter2".to_owned())]
    {
        make_pipe(&workspace, name);
        let file = workspace.file(name);
        std::thread::spawn(move || fs::write(file, text));
    }
    let line = "create generic new -n shop --from-file token=value.fifo -w new.yaml --cert cert.fifo";
    let (code, told) = run(&workspace, line);
    assert_eq!(code, Some(0), "{told}");
    assert!(workspace.opened("new.yaml").contains("\"token\": \"aHVudGVyMg==\""));
}
