//! Owners and modes of files: a replaced file keeps both, and one without any write permission is refused.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use crate::run::{PROGRAM, SECRET};
use crate::workspace::{KEY, OTHER_CERTIFICATE, Workspace};

/// A workspace with a SealedSecret, a Secret and the script of an editor.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.done("create generic db -n shop --from-literal user=app -w db.yaml --cert cert.pem", "");
    workspace.write("plain.yaml", SECRET);
    workspace.write("editor.sh", "sed -i.old 's/<sealed 1>/new/' \"$1\"\n");
    workspace.write("own/none", "");
    workspace
}

/// Commands that replace a file, by the file.
fn lines() -> Vec<(String, &'static str)> {
    let reencrypt = format!("reencrypt db.yaml --private-key {KEY} --cert {OTHER_CERTIFICATE}");
    let lines = [
        ("set db.yaml token --generate --cert cert.pem", "db.yaml"),
        ("unset db.yaml user", "db.yaml"),
        ("edit db.yaml --tmpdir own --cert cert.pem", "db.yaml"),
        ("create generic db -n shop --generate a -w db.yaml --force --cert cert.pem", "db.yaml"),
        ("seal plain.yaml -w db.yaml --force --cert cert.pem", "db.yaml"),
        ("seal -i plain.yaml --cert cert.pem", "plain.yaml"),
        (&reencrypt, "db.yaml"),
    ];
    lines.map(|(line, file)| (line.to_owned(), file)).to_vec()
}

/// Runs a line; returns the exit code and what is told.
fn run(workspace: &Workspace, line: &str) -> (Option<i32>, String) {
    let mut command = Command::new(PROGRAM);
    command.current_dir(workspace.path()).env_clear().env("PATH", "/usr/bin:/bin").args(line.split(' '));
    let output = command.env("KUBE_EDITOR", "sh editor.sh").output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Gives a file another owner and group, as far as this user may. Returns false if nothing could be changed.
fn give_away(file: &Path) -> bool {
    let groups = Command::new("id").arg("-G").output().unwrap().stdout;
    let groups = String::from_utf8(groups).unwrap();
    let own = fs::metadata(file).unwrap().gid();
    let other = groups.split_whitespace().filter_map(|group| group.parse().ok()).find(|group| *group != own);
    // Only root may choose any owner; other users may choose among their groups.
    chown(file, Some(4711), Some(4712)).is_ok()
        || other.is_some_and(|group| chown(file, None, Some(group)).is_ok())
}

#[test]
fn each_command_that_replaces_a_file_leaves_its_owner_group_and_mode() {
    for (line, file) in lines() {
        let workspace = workspace();
        let path = workspace.file(file);
        if !give_away(&path) {
            return;
        }
        fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
        let state = || {
            let metadata = fs::metadata(&path).unwrap();
            (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
        };
        let (before, inode) = (state(), fs::metadata(&path).unwrap().ino());
        let (code, told) = run(&workspace, &line);
        assert_eq!(code, Some(0), "{line}: {told}");
        assert_eq!(state(), before, "{line}");
        assert_ne!(fs::metadata(&path).unwrap().ino(), inode, "{line} replaces the file");
    }
}

#[test]
fn each_command_refuses_a_file_without_any_write_permission() {
    for (line, file) in lines() {
        let workspace = workspace();
        fs::set_permissions(workspace.file(file), Permissions::from_mode(0o444)).unwrap();
        let before = (workspace.read(file), workspace.names());
        let (code, told) = run(&workspace, &line);
        assert_eq!(code, Some(1), "{line}: {told}");
        let reason = "the file is read-only; make it writable (chmod u+w)";
        assert!(told.contains(file) && told.contains(reason), "{line}: {told}");
        assert_eq!((workspace.read(file), workspace.names()), before, "{line}");
    }
}
