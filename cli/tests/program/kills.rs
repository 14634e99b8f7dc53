//! kubeseal killed in the middle of an edit: the file is the old one or the new one, whole, and nothing else holds a plaintext.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::run::{CERTIFICATE, PROGRAM, SECRET, kubeseal};

/// A value that stands nowhere else, in so many bytes that its item is written in several steps.
fn plaintext() -> String {
    "plaintext-4f1d9c ".repeat(300)
}

fn merged_secret() -> String {
    format!("kind: Secret\nstringData: {{user: '{}'}}\n", plaintext())
}

/// A file of one item before an edit, and what may become of it.
struct Edit {
    folder: TempDir,
    before: String,
    /// Bytes of the whole new file.
    length: usize,
}

impl Edit {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let sealed = kubeseal(folder.path(), &["--cert", CERTIFICATE, "-w", "db.yaml"], SECRET.as_bytes());
        assert_eq!(sealed.code, Some(0));
        let before = std::fs::read_to_string(folder.path().join("db.yaml")).unwrap();
        let mut edit = Self { folder, before, length: 0 };
        edit.run(&[]);
        edit.length = std::fs::read(edit.folder.path().join("db.yaml")).unwrap().len();
        edit.reset();
        edit
    }

    fn reset(&self) {
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        std::fs::write(self.folder.path().join("db.yaml"), &self.before).unwrap();
    }

    /// The command that merges a second item in, behind the words of another program.
    fn command(&self, around: &[&str]) -> Command {
        let merging = [PROGRAM, "--cert", CERTIFICATE, "--merge-into", "db.yaml"];
        let words = [around, &merging].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.folder.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn run(&self, around: &[&str]) -> ExitStatus {
        let mut child = self.command(around).spawn().unwrap();
        drop(child.stdin.take().unwrap().write_all(merged_secret().as_bytes()));
        child.wait().unwrap()
    }

    /// Whether the file is the new one, and the old one else. Takes everything back.
    fn is_done(&self) -> bool {
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
            assert!(!text.contains("plaintext-4f1d9c"), "{}", path.display());
        }
        let text = std::fs::read_to_string(self.folder.path().join("db.yaml")).unwrap();
        self.reset();
        if text == self.before {
            return false;
        }
        let is_added = |line: &&str| line.starts_with("    user: AQ");
        assert_eq!(
            text.split_inclusive('\n').filter(|line| !is_added(line)).collect::<String>(),
            self.before
        );
        assert_eq!(text.len(), self.length, "the item is whole");
        true
    }
}

#[test]
fn a_kill_at_any_byte_that_is_written_leaves_the_old_file() {
    let edit = Edit::new();
    let blocks = edit.length.div_ceil(512);
    for limit in 0..blocks {
        // The shell's limit is in blocks of 512 bytes; the system kills who writes beyond.
        let shell = format!("ulimit -c 0; ulimit -f {limit}; exec \"$@\"");
        let status = edit.run(&["sh", "-c", &shell, "sh"]);
        assert_eq!(status.signal(), Some(25), "SIGXFSZ at {limit} of {blocks} blocks");
        assert!(!edit.is_done(), "{limit}");
    }
    let shell = format!("ulimit -f {blocks}; exec \"$@\"");
    assert!(edit.run(&["sh", "-c", &shell, "sh"]).success() && edit.is_done());
}

/// System calls that touch files. Before each of their first calls the program is killed once.
const CALLS: [&str; 14] = [
    "openat",
    "read",
    "write",
    "fsync",
    "chown",
    "fchmod",
    "rename",
    "renameat2",
    "unlink",
    "close",
    "statx",
    "fstat",
    "linkat",
    "lseek",
];

#[test]
fn a_kill_before_any_system_call_leaves_the_old_file_or_the_new_one() {
    if !Path::new("/usr/bin/strace").exists() {
        return;
    }
    let edit = Edit::new();
    let mut killed_at = BTreeSet::new();
    for call in CALLS {
        for number in 1.. {
            let inject = format!("inject=?{call}:signal=KILL:when={number}");
            let trace = format!("trace=?{call}");
            let status = edit.run(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
            let is_done = edit.is_done();
            if status.success() {
                assert!(is_done, "{call} {number}");
                break;
            }
            assert_eq!(status.signal(), Some(9), "{call} {number}");
            killed_at.insert(call);
        }
    }
    for step in ["openat", "write", "fsync", "fchmod"] {
        assert!(killed_at.contains(step), "{step} is a step of an edit");
    }
}

#[test]
fn a_kill_after_any_delay_leaves_the_old_file_or_the_new_one() {
    let edit = Edit::new();
    let begun = Instant::now();
    assert!(edit.run(&[]).success() && edit.is_done());
    let whole = begun.elapsed();
    for part in 0..60 {
        let mut child = edit.command(&[]).spawn().unwrap();
        drop(child.stdin.take().unwrap().write_all(merged_secret().as_bytes()));
        std::thread::sleep(Duration::from_nanos(u64::try_from(whole.as_nanos() * part / 50).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
        edit.is_done();
    }
}
