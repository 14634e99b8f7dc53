//! kubeseal killed while it writes a file: the file is the old one or the new one, complete, and leftover files hold no
//! plaintext.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;

use crate::run::{CERTIFICATE, PROGRAM, SECRET, answer, masked, seal, serve_always};
use crate::workspace::KEY;

/// A value that occurs nowhere else, so long that its item is written in several steps.
fn plaintext() -> String {
    "plaintext-4f1d9c ".repeat(300)
}

/// The first characters of the value and of its base64.
const PLAINTEXTS: [&str; 2] = ["plaintext-4f1d9c", "cGxhaW50ZXh0LTRmMWQ5Yy"];

fn secret() -> String {
    format!("{SECRET}  user: '{}'\n", plaintext()).replace("{password: hunter2}", "\n  password: hunter2")
}

/// Receipts differ between runs.
const NO_RECEIPT: &str = " --no-receipt";

/// A command that writes one file.
pub(crate) struct Writer {
    arguments: Vec<String>,
    pub(crate) input: String,
    pub(crate) file: &'static str,
    before: Option<String>,
    /// True if other users must not be able to read the file.
    is_private: bool,
}

/// All commands that write files, against this API server; `sealed` is the file that they edit or decrypt.
fn writers(server: &str, sealed: &str) -> Vec<Writer> {
    let writer = |line: &str, input: &str, file, before: Option<&str>| Writer {
        arguments: line.split_whitespace().map(str::to_owned).collect(),
        input: input.to_owned(),
        file,
        before: before.map(str::to_owned),
        is_private: line.contains("recovery") || line.contains("backup"),
    };
    let (cert, old, server) = (format!("--cert {CERTIFICATE}"), Some("old\n"), format!("--server {server}"));
    let recovery = format!("--recovery-unseal --recovery-private-key {KEY} -w plain.yaml");
    let merged = format!("kind: Secret\nstringData: {{user: '{}'}}\n", plaintext());
    vec![
        writer(&format!("{cert} --merge-into db.yaml"), &merged, "db.yaml", Some(sealed)),
        writer(
            &format!("create generic db -n shop --from-file user=- -w db.yaml {cert}{NO_RECEIPT}"),
            &plaintext(),
            "db.yaml",
            None,
        ),
        writer(
            &format!("create generic db -n shop --from-file user=- -w db.yaml --force {cert}{NO_RECEIPT}"),
            &plaintext(),
            "db.yaml",
            old,
        ),
        writer(&format!("set db.yaml user {cert}{NO_RECEIPT}"), &plaintext(), "db.yaml", Some(sealed)),
        writer("unset db.yaml password", "", "db.yaml", Some(sealed)),
        writer(&format!("seal -i db.yaml {cert}{NO_RECEIPT}"), "", "db.yaml", Some(&secret())),
        writer(&format!("seal - -w db.yaml {cert}{NO_RECEIPT}"), &secret(), "db.yaml", None),
        writer(&format!("seal - -w db.yaml --force {cert}{NO_RECEIPT}"), &secret(), "db.yaml", old),
        writer(&format!("{server} --re-encrypt -f db.yaml"), "", "db.yaml", Some(sealed)),
        writer(&format!("{server} --re-encrypt -w db.yaml"), sealed, "db.yaml", None),
        writer(&format!("{cert} -w db.yaml"), &secret(), "db.yaml", None),
        writer(&format!("{cert} -w db.yaml"), &secret(), "db.yaml", old),
        writer(&format!("{cert} --raw --scope cluster-wide -w item"), &plaintext(), "item", old),
        writer(&format!("{cert} --fetch-cert -w cert.pem"), "", "cert.pem", old),
        writer(&format!("cert fetch {server} -w cert.pem"), "", "cert.pem", old),
        writer(&recovery, sealed, "plain.yaml", None),
        writer(&recovery, sealed, "plain.yaml", old),
        writer(&format!("keys backup {server} -o keys.yaml"), "", "keys.yaml", None),
        writer(&format!("keys backup {server} -o keys.yaml --force"), "", "keys.yaml", old),
    ]
}

/// A cluster with one sealing key and no `SealingKey`s, whose controller re-encrypts to `renewed`.
fn cluster(renewed: String) -> String {
    let pem = |path: &str| STANDARD.encode(std::fs::read(path).unwrap());
    let key =
        json!({"metadata": {"name": "key"}, "data": {"tls.key": pem(KEY), "tls.crt": pem(CERTIFICATE)}});
    let keys = json!({"apiVersion": "v1", "kind": "SecretList", "metadata": {}, "items": [key]});
    let service = json!({"spec": {"ports": [{"name": "http"}]}});
    let none = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": []});
    let certificate = std::fs::read_to_string(CERTIFICATE).unwrap();
    serve_always(move |request| match request.split(' ').nth(1).unwrap_or_default() {
        path if path.ends_with("/v1/rotate") => answer("200 OK", &json!(renewed)),
        path if path.ends_with("/v1/cert.pem") => answer("200 OK", &json!(certificate)),
        path if path.contains("/services/") => answer("200 OK", &service),
        path if path.contains("/secrets?") => answer("200 OK", &keys),
        _ => answer("200 OK", &none),
    })
}

/// A writer in a folder of its own, and the file that it writes if it is not killed.
pub(crate) struct Sweep {
    pub(crate) writer: Writer,
    folder: TempDir,
    pub(crate) after: String,
}

impl Sweep {
    pub(crate) fn all() -> Vec<Self> {
        let sealed = |format: &str| seal(&["-o", format], &secret()).stdout;
        let server = format!("http://{}", cluster(sealed("json")));
        writers(&server, &sealed("yaml")).into_iter().map(Self::of).collect()
    }

    fn of(writer: Writer) -> Self {
        let mut sweep = Self { writer, folder: TempDir::new().unwrap(), after: String::new() };
        sweep.reset();
        assert!(sweep.run(&[]).success(), "{}", sweep.line());
        sweep.after = sweep.read().unwrap();
        sweep.reset();
        sweep
    }

    pub(crate) fn line(&self) -> String {
        self.writer.arguments.join(" ")
    }

    fn read(&self) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join(self.writer.file)).ok()
    }

    fn reset(&self) {
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        if let Some(before) = &self.writer.before {
            std::fs::write(self.folder.path().join(self.writer.file), before).unwrap();
        }
    }

    /// The command, wrapped in the words of another program.
    pub(crate) fn command(&self, around: &[&str]) -> Command {
        let words =
            around.iter().copied().chain([PROGRAM]).chain(self.writer.arguments.iter().map(String::as_str));
        let words: Vec<&str> = words.collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.folder.path()).env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn run(&self, around: &[&str]) -> ExitStatus {
        let mut child = self.command(around).spawn().unwrap();
        drop(child.stdin.take().unwrap().write_all(self.writer.input.as_bytes()));
        child.wait().unwrap()
    }

    /// Returns true if the file is the new one; panics unless it is the new or the old one. Restores the initial state.
    fn is_done(&self) -> bool {
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            self.assert_tells_nobody(&entry.unwrap().path());
        }
        let text = self.read();
        self.reset();
        if text == self.writer.before {
            return false;
        }
        let text = text.expect("a file that was there stays");
        assert_eq!(shape(&text), shape(&self.after), "{} is whole", self.line());
        assert_eq!(text.len(), self.after.len(), "{} is whole", self.line());
        true
    }

    /// Asserts that the file, or a leftover temporary file, holds no plaintext, or, where plaintext is expected, only its owner
    /// can read it.
    fn assert_tells_nobody(&self, path: &Path) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_file = name == self.writer.file;
        assert!(is_file || name.starts_with(".kubeseal-"), "{name} is left by {}", self.line());
        let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
        let is_old = is_file && Some(&text) == self.writer.before.as_ref();
        if self.writer.is_private {
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert!(is_old || mode & 0o777 == 0o600, "{name} of {} has mode {mode:o}", self.line());
        } else {
            assert!(
                is_old || !PLAINTEXTS.iter().any(|plaintext| text.contains(plaintext)),
                "{name} of {}",
                self.line()
            );
        }
    }
}

/// The text without the parts that differ between runs: ciphertexts and times.
fn shape(text: &str) -> String {
    masked(text).replace(|character: char| character.is_ascii_digit(), "0")
}

#[test]
fn a_kill_at_any_byte_that_is_written_leaves_the_old_file() {
    for sweep in Sweep::all() {
        let (blocks, line) = (sweep.after.len().div_ceil(512), sweep.line());
        for limit in 0..blocks {
            // The shell's limit is in blocks of 512 bytes; the kernel kills a process that writes more.
            let shell = format!("ulimit -c 0; ulimit -f {limit}; exec \"$@\"");
            let status = sweep.run(&["sh", "-c", &shell, "sh"]);
            assert_eq!(status.signal(), Some(25), "SIGXFSZ of {line} at {limit} of {blocks} blocks");
            assert!(!sweep.is_done(), "{line}: {limit}");
        }
        let shell = format!("ulimit -f {blocks}; exec \"$@\"");
        assert!(sweep.run(&["sh", "-c", &shell, "sh"]).success() && sweep.is_done(), "{line}");
    }
}

/// System calls that change the content of a folder or a file, except the call that creates a file: one of these follows it. The
/// program is killed once before every call of each kind, and so after every call but the last.
const CALLS: [&str; 15] = [
    "write",
    "fsync",
    "fdatasync",
    "chown",
    "fchown",
    "fchownat",
    "chmod",
    "fchmod",
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "unlink",
    "unlinkat",
    "exit_group",
];

#[test]
fn a_kill_before_any_system_call_leaves_the_old_file_or_the_new_one() {
    if !Path::new("/usr/bin/strace").exists() {
        return;
    }
    for sweep in Sweep::all() {
        let line = sweep.line();
        let mut killed_at = BTreeSet::new();
        for call in CALLS {
            for number in 1.. {
                let inject = format!("inject=?{call}:signal=KILL:when={number}");
                let trace = format!("trace=?{call}");
                let status =
                    sweep.run(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject]);
                let is_done = sweep.is_done();
                if status.success() {
                    assert!(is_done, "{line}: {call} {number}");
                    break;
                }
                assert_eq!(status.signal(), Some(9), "{line}: {call} {number}");
                killed_at.insert(call);
            }
        }
        let is_step = |calls: &[&str]| calls.iter().any(|call| killed_at.contains(call));
        for step in [&["write"][..], &["fsync"], &["renameat", "renameat2", "linkat"], &["exit_group"]] {
            assert!(is_step(step), "{step:?} is a step of {line}");
        }
    }
}

#[test]
fn a_kill_after_any_delay_leaves_the_old_file_or_the_new_one() {
    for sweep in Sweep::all() {
        let begun = Instant::now();
        assert!(sweep.run(&[]).success() && sweep.is_done());
        let whole = begun.elapsed();
        for part in 0..18 {
            let mut child = sweep.command(&[]).spawn().unwrap();
            drop(child.stdin.take().unwrap().write_all(sweep.writer.input.as_bytes()));
            std::thread::sleep(Duration::from_nanos(u64::try_from(whole.as_nanos() * part / 15).unwrap()));
            child.kill().unwrap();
            child.wait().unwrap();
            sweep.is_done();
        }
    }
}

/// A command of the new grammar, which completes a write that has begun.
fn handles_signals(sweep: &Sweep) -> bool {
    ["create", "set", "unset", "seal"].contains(&sweep.writer.arguments[0].as_str())
}

#[test]
fn a_sigint_before_any_system_call_leaves_the_old_file_or_the_new_one_and_no_other() {
    if !Path::new("/usr/bin/strace").exists() {
        return;
    }
    let seen = TempDir::new().unwrap();
    let seen = seen.path().join("seen");
    for sweep in Sweep::all().iter().filter(|sweep| handles_signals(sweep)) {
        let (line, mut interrupted) = (sweep.line(), BTreeSet::new());
        for call in ["write", "fsync", "fchmod", "renameat", "renameat2", "linkat", "unlink"] {
            for number in 1.. {
                let inject = format!("inject=?{call}:signal=INT:when={number}");
                let trace = format!("trace=?{call}");
                let file = seen.to_str().unwrap();
                let status = sweep.run(&["strace", "-f", "-qq", "-o", file, "-e", &trace, "-e", &inject]);
                let names: Vec<_> = std::fs::read_dir(sweep.folder.path())
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name())
                    .collect();
                assert!(
                    names.iter().all(|name| name == sweep.writer.file),
                    "{names:?} of {line}: {call} {number}"
                );
                let is_done = sweep.is_done();
                if !std::fs::read_to_string(&seen).unwrap().contains("--- SIGINT ") {
                    assert!(status.success() && is_done, "{line}: {call} {number}");
                    break;
                }
                // Before the handler is there, the signal itself ends the program; after the last write it comes too late.
                let code = status.code().or(status.signal().map(|signal| 128 + signal));
                assert!(
                    code == Some(130) || (status.success() && is_done),
                    "{line}: {call} {number}: {code:?}"
                );
                interrupted.insert(call);
            }
        }
        for step in [&["write"][..], &["fsync"], &["renameat", "renameat2", "linkat"]] {
            assert!(step.iter().any(|call| interrupted.contains(call)), "{step:?} is a step of {line}");
        }
    }
}
