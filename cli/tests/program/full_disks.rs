//! Full disks: each write fails with the reason and the name of the file, the old file stays, and nothing that was typed is lost
//! without a word.
//!
//! The disk is a small file system in memory, mounted in a namespace of its own.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::kills::Sweep;
use crate::prompts::Terminal;
use crate::run::PROGRAM;
use crate::workspace::{KEY, OTHER_CERTIFICATE, Workspace};

/// Words that run a program in a namespace in which it may mount.
pub(crate) const UNSHARE: [&str; 4] = ["unshare", "--user", "--map-root-user", "--mount"];

/// Runs a program in the current folder, on a disk with the files of the folder and this many free pages; what is on the disk at the
/// end is copied to the folder $1.
const ON_A_FULL_DISK: &str = r#"
out=$1 free=$2; shift 2
cp -a . "$out/before" && mount -t tmpfs -o size=1m none . && cd "$PWD" && cp -a "$out/before/." . || exit 99
cat /dev/zero > fill 2> "$out/full"
truncate -s "-$((free * 4096))" fill || exit 99
"$@"
code=$?
rm fill
cp -a . "$out/after" || exit 99
exit $code
"#;

const REASON: &str = "no space left on device";

/// True where namespaces can be had.
pub(crate) fn can_mount() -> bool {
    let [program, words @ ..] = UNSHARE;
    Command::new(program).args(words).arg("true").status().is_ok_and(|status| status.success())
}

/// The names and contents of a folder.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
}

/// Runs `command`, which begins a program on a full disk, and asserts that it fails with these words and leaves all as it was.
fn fails_for_want_of_space(mut command: Command, input: &str, out: &Path, words: &[&str], line: &str) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let told = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert_eq!(status.code(), Some(1), "{line}: {told}");
    assert!(words.iter().all(|word| told.contains(word)), "{line}: {told}");
    assert!(!told.contains("plaintext-4f1d9c"), "{line}: {told}");
    assert_eq!(content(&out.join("after")), content(&out.join("before")), "{line}");
}

#[test]
fn each_command_that_writes_a_file_names_it_and_leaves_the_old_one() {
    if !can_mount() {
        return;
    }
    for sweep in Sweep::all() {
        let pages = sweep.after.len() / 4096;
        for free in 0..=pages {
            let out = TempDir::new().unwrap();
            let (folder, free) = (out.path().to_str().unwrap(), free.to_string());
            let around = [&UNSHARE[..], &["sh", "-c", ON_A_FULL_DISK, "sh", folder, &free]].concat();
            let (command, line) = (sweep.command(&around), format!("{} with {free} pages", sweep.line()));
            fails_for_want_of_space(
                command,
                &sweep.writer.input,
                out.path(),
                &[sweep.writer.file, REASON],
                &line,
            );
        }
    }
}

#[test]
fn files_that_cannot_be_re_encrypted_installed_or_merged_are_named_and_stay() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    workspace.done("create generic db -n shop --from-literal user=app -w db.yaml --cert cert.pem", "");
    workspace.git(&["init", "--quiet"]);
    let reencrypt = format!("reencrypt db.yaml --private-key {KEY} --cert {OTHER_CERTIFICATE}");
    workspace.write("base.yaml", "a: 1\n");
    workspace.write("ours.yaml", "a: 1\n");
    workspace.write("theirs.yaml", "a: 2\n");
    // The second message is Git's own.
    for (line, words) in [
        (reencrypt.as_str(), ["db.yaml", REASON]),
        ("git install", ["failed to write", ".git/config"]),
        ("git merge base.yaml ours.yaml theirs.yaml 7 db.yaml", ["ours.yaml", REASON]),
    ] {
        let out = TempDir::new().unwrap();
        let mut command = Command::new(UNSHARE[0]);
        command
            .args(&UNSHARE[1..])
            .args(["sh", "-c", ON_A_FULL_DISK, "sh"])
            .arg(out.path())
            .args(["0", PROGRAM]);
        command
            .args(line.split_whitespace())
            .current_dir(workspace.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin");
        fails_for_want_of_space(command, "", out.path(), &words, line);
    }
}

#[test]
fn a_clone_on_a_full_disk_keeps_its_old_attributes_and_gets_no_half_hook() {
    if !can_mount() {
        return;
    }
    // More than a page, so that they need more space than the settings.
    let attributes = format!("{}*.png binary\n", "# of the team\n".repeat(400));
    let hook = ".git/hooks/pre-commit";
    for (before, file) in [(attributes.as_str(), ".git/info/attributes"), ("", hook)] {
        let workspace = Workspace::new();
        workspace.git(&["init", "--quiet"]);
        drop(fs::remove_file(workspace.file(hook)));
        workspace.write(".git/info/attributes", before);
        let out = TempDir::new().unwrap();
        let mut command = Command::new(UNSHARE[0]);
        command.args(&UNSHARE[1..]).args(["sh", "-c", ON_A_FULL_DISK, "sh"]).arg(out.path());
        command.args(["1", PROGRAM, "git", "install"]).current_dir(workspace.path());
        command.env_clear().env("PATH", "/usr/bin:/bin");
        fails_for_want_of_space(command, "", out.path(), &["error: write ", file, REASON], file);
        let after = |name: &str| fs::read_to_string(out.path().join("after").join(name));
        let lines = "diff=kubeseal merge=kubeseal\n";
        assert!(after(hook).is_err(), "{file}");
        let found = after(".git/info/attributes").unwrap();
        assert!(
            if before.is_empty() { found.matches(lines).count() == 3 } else { found == before },
            "{file}"
        );
        for folder in [".git/hooks", ".git/info"] {
            let names = content(&out.path().join("after").join(folder)).into_keys();
            assert!(names.into_iter().all(|name| !name.starts_with(".kubeseal-")), "{file}");
        }
    }
}

/// Edits `db.yaml` on a small disk, with a script as editor and the memory for its text on another one. What is left is copied to
/// `left` and `memory-left`.
const EDIT: &str = r#"
mount -t tmpfs -o size=64k none full && mount -t tmpfs -o size=64k none memory || exit 99
cp db.yaml full
XDG_RUNTIME_DIR=$PWD/memory KUBE_EDITOR='sh editor.sh' "$@" edit full/db.yaml --cert cert.pem
code=$?
rm -f full/fill memory/fill
cp -a full left && cp -a memory memory-left || exit 99
exit $code
"#;
const FILL_DISK: &str = "sed -i 's/<sealed 1>/hunter2/' \"$1\"; cat /dev/zero > full/fill 2> /dev/null || :";
const FILL_MEMORY: &str = "; cat /dev/zero > memory/fill 2> /dev/null || :";

struct Edit {
    workspace: Workspace,
    before: String,
}

impl Edit {
    fn with(editor: &str) -> Self {
        let workspace = Workspace::new();
        workspace.done("create generic db -n shop --from-literal user=app -w db.yaml --cert cert.pem", "");
        workspace.write("editor.sh", editor);
        workspace.write("edit.sh", EDIT);
        for folder in ["full", "memory"] {
            fs::create_dir(workspace.file(folder)).unwrap();
        }
        let before = workspace.read("db.yaml");
        Self { workspace, before }
    }

    /// Runs without a terminal; returns what is told.
    fn fails(&self) -> String {
        let mut command = Command::new(UNSHARE[0]);
        command.args(&UNSHARE[1..]).args(["sh", "edit.sh", PROGRAM]).current_dir(self.workspace.path());
        command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        let Output { status, stdout, stderr } = command.output().unwrap();
        let told = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert!(status.code() == Some(1) && !told.contains("hunter2"), "{told}");
        assert_eq!(self.workspace.read("left/db.yaml"), self.before);
        told
    }

    /// The paths of all files in a folder.
    fn files(&self, folder: &str) -> Vec<String> {
        let mut command = Command::new("find");
        let output =
            command.args([".", "-type", "f"]).current_dir(self.workspace.file(folder)).output().unwrap();
        let mut files: Vec<String> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        files.sort();
        files
    }

    /// Asserts that a file holds what was typed, sealed, and that only its owner can read it.
    fn holds_the_edit(&self, file: &str) {
        assert!(self.workspace.opened(file).contains("\"user\": \"aHVudGVyMg==\""));
        let mode = fs::metadata(self.workspace.file(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn an_edit_that_cannot_be_written_is_kept_in_a_file_that_the_message_names() {
    if !can_mount() {
        return;
    }
    let edit = Edit::with(FILL_DISK);
    let told = edit.fails();
    let (kept, error) = told.split_once('\n').unwrap();
    assert_eq!(error, "error: write full/db.yaml: no space left on device\n");
    let kept = kept.strip_prefix("full/db.yaml: what you saved is sealed in ").unwrap();
    let (_, below) = kept.split_once("/memory/kubeseal-").unwrap();
    assert_eq!(edit.files("memory-left"), [format!("./kubeseal-{below}")], "nothing else is left");
    edit.holds_the_edit(&format!("memory-left/kubeseal-{below}"));
    assert_eq!(edit.files("left"), ["./db.yaml"]);
}

#[test]
fn an_edit_of_a_link_to_a_full_disk_is_kept_beside_the_link() {
    if !can_mount() {
        return;
    }
    let edit = Edit::with(FILL_DISK);
    std::os::unix::fs::symlink("full/db.yaml", edit.workspace.file("link.yaml")).unwrap();
    edit.workspace.write("edit.sh", &EDIT.replace("edit full/db.yaml", "edit link.yaml"));
    let told = edit.fails();
    assert!(
        told.starts_with("link.yaml: what you saved is sealed in link.yaml.edited\nerror: write link.yaml: "),
        "{told}"
    );
    edit.holds_the_edit("link.yaml.edited");
    assert_eq!((edit.files("left"), edit.files("memory-left")), (vec!["./db.yaml".to_owned()], Vec::new()));
}

/// The end of the message where nothing else can be written either.
const LOST: &str = "what you saved is in no file, since no other can be written: ";

#[test]
fn an_edit_that_fits_nowhere_is_told_to_be_in_no_file() {
    if !can_mount() {
        return;
    }
    let edit = Edit::with(&format!("{FILL_DISK}{FILL_MEMORY}"));
    let told = edit.fails();
    assert!(
        told.starts_with(&format!("error: write full/db.yaml: no space left on device; {LOST}")),
        "{told}"
    );
    assert!(!told.contains(".edited"), "{told}");
    assert_eq!((edit.files("left"), edit.files("memory-left")), (vec!["./db.yaml".to_owned()], Vec::new()));
}

#[test]
fn on_a_terminal_an_edit_that_fits_nowhere_is_opened_again_until_there_is_space() {
    if !can_mount() {
        return;
    }
    let again = "if grep -q hunter2 \"$1\"; then rm full/fill memory/fill; exit; fi\n";
    let edit = Edit::with(&format!("{again}{FILL_DISK}{FILL_MEMORY}"));
    let mut terminal =
        Terminal::shell(&edit.workspace, &format!("{} sh edit.sh {PROGRAM}", UNSHARE.join(" ")));
    terminal.wait_for(LOST);
    terminal.wait_for("press Enter to edit this text again, or Ctrl-C to give up");
    terminal.enter(b"\r");
    assert!(terminal.end(0).contains("user replaced in shop/db (strict), key "));
    assert!(edit.workspace.opened("left/db.yaml").contains("\"user\": \"aHVudGVyMg==\""));
    assert_eq!(edit.files("memory-left"), [""; 0]);
}
