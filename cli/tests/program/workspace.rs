//! A folder in which subcommands are run, as a user runs them in a repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::run::{CERTIFICATE, Ran, kubeseal, masked};

pub(crate) const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/rsa2048-pkcs1.pem");
/// The certificate of another cluster.
pub(crate) const OTHER_CERTIFICATE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/rsa4096.crt");
/// Fingerprints of both, as receipts name them.
pub(crate) const FINGERPRINT: &str = "SHA256:d7vDRpnXNiJzDkmy";

/// A folder with `cert.pem`, and a project file without content, so that no other one counts.
pub(crate) struct Workspace {
    folder: TempDir,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::copy(CERTIFICATE, folder.path().join("cert.pem")).unwrap();
        Self { folder }
    }

    /// A workspace that is a Git repository with the branch `main`, without a commit.
    pub(crate) fn repository() -> Self {
        let workspace = Self::new();
        workspace.git(&["init", "--quiet", "--initial-branch=main"]);
        workspace
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let file = self.file(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// The names of all files in the folder, but for the certificate.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "cert.pem");
        names.sort();
        names
    }

    /// Runs a line of words without quotes, with this stdin.
    pub(crate) fn run_with(&self, line: &str, input: &[u8]) -> Ran {
        let ran = kubeseal(self.path(), &line.split_whitespace().collect::<Vec<_>>(), input);
        assert!(!ran.stderr.contains("hunter2") && !ran.stdout.contains("hunter2"), "{line}: {}", ran.stderr);
        ran
    }

    pub(crate) fn run(&self, line: &str) -> Ran {
        self.run_with(line, b"")
    }

    /// Runs a line that succeeds, and returns its stderr.
    pub(crate) fn done(&self, line: &str, input: &str) -> String {
        let ran = self.run_with(line, input.as_bytes());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{line}: {}", ran.stderr);
        ran.stderr
    }

    /// Asserts that a line fails with this code and message, and changes no file.
    pub(crate) fn refused(&self, line: &str, code: i32, message: &str) {
        let state = || {
            self.names().into_iter().map(|name| (fs::read(self.file(&name)).ok(), name)).collect::<Vec<_>>()
        };
        let before = state();
        let ran = self.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{line}: {}", ran.stderr);
        assert!(
            ran.stderr.starts_with("error: ") || ran.stderr.contains("\nerror: "),
            "{line}: {}",
            ran.stderr
        );
        assert!(ran.stderr.contains(message), "{line}: {}", ran.stderr);
        assert!(state() == before, "{line} changes nothing");
    }

    /// Decrypts a file; the values are base64.
    pub(crate) fn opened(&self, file: &str) -> String {
        let ran =
            kubeseal(self.path(), &["--recovery-unseal", "--recovery-private-key", KEY, "-f", file], b"");
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git_stdout(self.path(), arguments)
    }
}

/// Runs Git in a folder, asserts that it succeeds, and returns its stdout.
pub(crate) fn git_stdout(folder: &Path, arguments: &[&str]) -> String {
    let output = git_command(folder, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Git in a folder, without the configuration of whoever runs the tests.
pub(crate) fn git_command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(arguments);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_EDITOR", "true");
    command
}

/// Runs Git in a folder; returns its success and all that it prints.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = git_command(folder, arguments).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

/// The text with every ciphertext, and the hash of a receipt, replaced.
pub(crate) fn shape(text: &str) -> String {
    let line = |line: &str| match line.split_once("# kubeseal: ") {
        Some((lead, receipt)) => {
            format!("{lead}# kubeseal: {} …\n", receipt.trim_end().rsplit_once(' ').unwrap().0)
        }
        None => line.to_owned(),
    };
    masked(text).split_inclusive('\n').map(line).collect()
}
