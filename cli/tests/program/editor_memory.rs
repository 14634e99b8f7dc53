//! The folder of the text that `edit` shows: on a file system in memory, unless the user names another one.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::full_disks::{UNSHARE, can_mount};
use crate::run::PROGRAM;
use crate::workspace::Workspace;

const SHARED_MEMORY: &str = "/dev/shm";
/// An editor that notes the folder of its file, and types a value.
const EDITOR: &str = "dirname \"$1\" > place.txt\nsed -i 's/<sealed 1>/new/' \"$1\"\n";
/// Runs a program where the folder $1 of a disk hides /dev/shm.
const WITHOUT_SHARED_MEMORY: &str = "mount --bind \"$1\" /dev/shm || exit 99; shift; \"$@\"";

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.done("create generic db -n shop --from-literal user=app -w db.yaml --cert cert.pem", "");
    workspace.write("editor.sh", EDITOR);
    workspace
}

fn is_in_memory(folder: &Path) -> bool {
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder).output().unwrap();
    ["tmpfs", "ramfs"].contains(&String::from_utf8(output.stdout).unwrap().trim())
}

/// A folder on a disk; `None` where the folders of tests are in memory.
fn on_disk() -> Option<TempDir> {
    let parents = [std::env::temp_dir(), PathBuf::from(env!("CARGO_TARGET_TMPDIR"))];
    let parent = parents.into_iter().find(|folder| folder.is_dir() && !is_in_memory(folder))?;
    Some(tempfile::tempdir_in(parent).unwrap())
}

/// Edits `db.yaml` with the words of another program around, and this `$XDG_RUNTIME_DIR`; returns the exit code and what is told.
fn edit(
    workspace: &Workspace,
    around: &[&str],
    runtime: Option<&Path>,
    more: &[&str],
) -> (Option<i32>, String) {
    drop(fs::remove_file(workspace.file("place.txt")));
    let words = [around, &[PROGRAM, "edit", "db.yaml", "--cert", "cert.pem"], more].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(workspace.path()).env_clear().env("PATH", "/usr/bin:/bin");
    command.env("KUBE_EDITOR", "sh editor.sh").stdin(Stdio::null());
    if let Some(runtime) = runtime {
        command.env("XDG_RUNTIME_DIR", runtime);
    }
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

/// The folder around the private one in which the text was.
fn place(workspace: &Workspace) -> PathBuf {
    Path::new(workspace.read("place.txt").trim_end()).parent().unwrap().to_owned()
}

#[test]
fn the_runtime_folder_is_used_if_it_is_in_memory_and_else_the_shared_memory() {
    let (workspace, memory) = (workspace(), tempfile::tempdir_in(SHARED_MEMORY).unwrap());
    let disk = on_disk();
    let mut cases = vec![
        (Some(memory.path()), memory.path()),
        (None, Path::new(SHARED_MEMORY)),
        (Some(Path::new("")), Path::new(SHARED_MEMORY)),
        (Some(Path::new("/no/such/folder")), Path::new(SHARED_MEMORY)),
    ];
    // A relative path is invalid by the specification of the variable.
    fs::create_dir(workspace.file("own")).unwrap();
    cases.push((Some(Path::new("own")), Path::new(SHARED_MEMORY)));
    cases.extend(disk.iter().map(|disk| (Some(disk.path()), Path::new(SHARED_MEMORY))));
    for (runtime, expected) in cases {
        let (code, told) = edit(&workspace, &[], runtime, &[]);
        assert_eq!(code, Some(0), "{runtime:?}: {told}");
        assert!(!told.contains("warning"), "{runtime:?}: {told}");
        assert_eq!(place(&workspace), expected, "{runtime:?}");
        assert!(!Path::new(workspace.read("place.txt").trim_end()).exists(), "{runtime:?}");
    }
}

#[test]
fn without_a_file_system_in_memory_the_editor_starts_only_in_a_folder_that_is_named() {
    let (workspace, Some(disk)) = (workspace(), on_disk()) else { return };
    if !can_mount() {
        return;
    }
    let hidden = disk.path().to_str().unwrap();
    let around = [&UNSHARE[..], &["sh", "-c", WITHOUT_SHARED_MEMORY, "sh", hidden]].concat();
    let before = workspace.read("db.yaml");
    let expected = "error: neither $XDG_RUNTIME_DIR nor /dev/shm is a file system in memory, and values must not get onto a disk; make one, \
                    and name a folder on it with --tmpdir DIR\n";
    for runtime in [None, Some(disk.path())] {
        let refused = edit(&workspace, &around, runtime, &[]);
        assert_eq!(refused, (Some(1), expected.to_owned()));
        assert!(!workspace.file("place.txt").exists(), "the editor does not start");
        assert_eq!(workspace.read("db.yaml"), before);
    }
    let (code, told) = edit(&workspace, &around, None, &["--tmpdir", hidden]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.starts_with(&format!("warning: --tmpdir {hidden}: this may be on a disk")), "{told}");
    assert_eq!(place(&workspace), disk.path());
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 0, "nothing is left");
}
