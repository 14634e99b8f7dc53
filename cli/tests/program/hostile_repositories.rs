//! Repositories whose author is an attacker: checking or sealing in one runs no program of theirs, ends, and takes little memory.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Output};

use crate::run::{PROGRAM, SECRET};
use crate::workspace::Workspace;

/// Runs a line of words in two gigabytes of memory.
fn in_little_memory(workspace: &Workspace, line: &str) -> (Option<i32>, String) {
    let script = "ulimit -v 2000000; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.current_dir(workspace.path()).args(["-c", script, PROGRAM]).args(line.split_whitespace());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn no_program_of_a_bare_repository_that_is_committed_in_a_folder_is_run() {
    let workspace = Workspace::repository();
    let (program, ran) = (workspace.file("program"), workspace.file("ran"));
    fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> {}\n", ran.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    workspace.git(&["init", "--quiet", "--bare", "charts"]);
    let configuration = format!(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = {}\n\tfsmonitor = {}\n",
        workspace.file("charts/tree").display(),
        program.display()
    );
    workspace.write("charts/config", &configuration);
    workspace.write("charts/tree/a.yaml", "a: b\n");
    workspace.write("charts/b.yaml", "a: b\n");
    for line in ["lint charts", "lint charts/tree", "lint"] {
        assert_eq!(workspace.run(line).code, Some(0), "{line}");
        assert!(!ran.exists(), "{line} has run a program");
    }
    for line in ["lint --staged", "git install"] {
        let words: Vec<_> = line.split(' ').collect();
        let status =
            Command::new(PROGRAM).current_dir(workspace.file("charts")).args(words).output().unwrap().status;
        assert!(!ran.exists() && !status.success(), "{line} has run a program or used the repository");
    }
    // The configuration of the clone itself.
    workspace.git(&["config", "core.fsmonitor", program.to_str().unwrap()]);
    for line in ["lint", "lint --staged"] {
        assert_eq!(workspace.run(line).code, Some(0), "{line}");
        assert!(!ran.exists(), "{line} has run a program");
    }
    workspace.write("charts/tree/plain.yaml", SECRET);
    workspace.write("plain.yaml", SECRET);
    workspace.git(&["-c", "core.fsmonitor=false", "add", "plain.yaml"]);
    for (file, is_tracked) in [("charts/tree/plain.yaml", false), ("plain.yaml", true)] {
        let sealed = workspace.run(&format!("seal -i {file} --cert cert.pem"));
        assert_eq!(sealed.code, Some(0), "{}", sealed.stderr);
        assert_eq!(sealed.stderr.contains("run git add again"), is_tracked, "{}", sealed.stderr);
        assert!(!ran.exists(), "seal {file} has run a program");
    }
}

#[test]
fn a_file_without_an_end_is_not_read_to_its_end_wherever_a_repository_names_it() {
    let workspace = Workspace::repository();
    symlink("/dev/zero", workspace.file("zero.yaml")).unwrap();
    workspace.write(".kubeseal.yaml", "clusters:\n  a: {certificate: zero.yaml}\nrules:\n- {cluster: a}\n");
    workspace.write("base/kustomization.yaml", "namespace: a\nresources: [../zero.yaml]\n");
    for (line, code, expected) in [
        ("lint .", 3, "the certificate of a: zero.yaml: a device, not a regular file"),
        ("lint zero.yaml", 3, "more than 8 MiB"),
        (
            "create generic db -n a --generate password -w db.yaml",
            1,
            "zero.yaml: a device, not a regular file",
        ),
        ("--validate --cert zero.yaml", 1, ""),
        ("--fetch-cert --cert zero.yaml", 1, "file too large"),
    ] {
        let (found, told) = in_little_memory(&workspace, line);
        assert!(found == Some(code) && told.contains(expected), "{line}: {found:?} {told}");
        assert!(!told.contains("out of memory"), "{line}: {told}");
    }
    fs::remove_file(workspace.file(".kubeseal.yaml")).unwrap();
    symlink("zero.yaml", workspace.file(".kubeseal.yaml")).unwrap();
    let (_, told) = in_little_memory(&workspace, "lint .");
    assert!(!told.contains("out of memory"), "{told}");
}

#[test]
fn a_value_without_an_end_is_not_read_to_its_end() {
    let workspace = Workspace::new();
    let create = "create generic db -n shop --cert cert.pem";
    workspace.done(&format!("{create} --from-literal user=app -w db.yaml"), "");
    for line in [
        "set db.yaml token --cert cert.pem --from-file /dev/zero".to_owned(),
        format!("{create} --from-file token=/dev/zero"),
        format!("{create} --from-env-file /dev/zero"),
        "create tls db -n shop --cert cert.pem --tls-cert /dev/zero --tls-key /dev/zero".to_owned(),
        "create docker-registry db -n shop --cert cert.pem --docker-server a --docker-username b --docker-password-file /dev/zero"
            .to_owned(),
    ] {
        let (code, told) = in_little_memory(&workspace, &line);
        assert_eq!((code, told.as_str()), (Some(1), "error: read /dev/zero: file too large\n"), "{line}");
    }
}

#[test]
fn a_kustomization_that_consists_of_itself_many_times_ends() {
    let workspace = Workspace::new();
    workspace.write("kustomization.yaml", "namePrefix: a-\nresources: [., ., ., ., ., ., ., ., ., .]\n");
    assert_eq!(workspace.run("lint .").code, Some(0));
}

#[test]
fn a_name_in_a_workflow_command_neither_ends_it_nor_controls_the_terminal_of_its_log() {
    let workspace = Workspace::repository();
    let name = "a\n::error::b,c:\u{1b}[2K\u{202e}.yaml";
    workspace.write(name, "kind: Secret\ndata:\n  \"\\e[31mkey\": aGk=\n");
    let told = workspace.run("lint -o github .").stdout;
    assert!(told.starts_with("::error file=") && told.lines().count() == 1, "{told}");
    assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told:?}");
}
