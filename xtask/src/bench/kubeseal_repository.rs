//! Measurements of `kubeseal` on a repository of many files: how fast it reads them, and how fast it moves them to a new key.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sealed_secrets_core::crypto::{CertificateRequest, KeyPair, KeySize, envelope};
use sealed_secrets_core::label::Label;
use sealed_secrets_crds::Scope;
use sealed_secrets_tests::{Error, Result};
use tempfile::TempDir;

use super::kubeseal::{median, when};
use super::machine::cores;
use super::table::{Bar, Row};

pub(super) const FILES: usize = 300;
pub(super) const ITEMS: usize = 10;
const RUNS: usize = 21;
/// A word that no file contains, so that git reads all of them.
const WORD: &str = "hunter2";
/// Operations for the measurement of one.
const OPERATIONS: u32 = 200;
/// Exit codes.
pub(super) const DONE: i32 = 0;
const FOUND_NOTHING: i32 = 1;

/// Reading with valid receipts against `git grep` for a word, and re-encryption of all items against their private-key operations
/// and against `sops`, the milliseconds in which sops moves as many files to another key.
///
/// # Errors
/// When a program fails.
pub(crate) fn measure(kubeseal: &Path, sops: f64) -> Result<Vec<Row>> {
    let repository = Repository::new(kubeseal)?;
    let dry_run = ["reencrypt", ".", "--dry-run", "--private-key", "old.key", "--cert", "old.pem"];
    let (mut greps, mut lints, mut dry_runs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        greps.push(time(&mut repository.git(&["grep", "--quiet", WORD]), FOUND_NOTHING)?);
        lints.push(time(&mut repository.kubeseal(&["lint"]), DONE)?);
        dry_runs.push(time(&mut repository.kubeseal(&dry_run), DONE)?);
    }
    let grep = median(greps);
    let all = ["reencrypt", ".", "--private-key", "old.key", "--cert", "new.pem"];
    let re_encrypted = time(&mut repository.kubeseal(&all), DONE)?;
    let operations = milliseconds(repository.operation()? * u32::try_from(FILES * ITEMS).unwrap_or(u32::MAX));
    let operations = operations / f64::from(u32::try_from(cores()).unwrap_or(1));
    Ok(vec![
        row(
            "lint 300 files of 10 items, against `git grep` for a word",
            median(lints),
            grep,
            Bar::AtMost(5.0),
        ),
        row(
            "`reencrypt --dry-run` of the same, all fresh by receipts",
            median(dry_runs),
            grep,
            Bar::AtMost(5.0),
        ),
        row(
            "`reencrypt` of all 3000 items here, against their private-key operations",
            re_encrypted,
            operations,
            Bar::AtMost(2.0),
        ),
        row(
            "the same, against `sops updatekeys` of 300 files of 10 items (age)",
            re_encrypted,
            sops,
            Bar::None,
        ),
    ])
}

fn row(work: &str, ours: f64, other: f64, bar: Bar) -> Row {
    Row {
        work: work.to_owned(),
        ours: format!("{ours:.1} ms"),
        original: format!("{other:.1} ms"),
        figure: Some((ours / other, "x")),
        bar: Some(bar),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A Git repository with an old and a new key, whose items are sealed with the old one and have receipts.
struct Repository {
    folder: TempDir,
    kubeseal: PathBuf,
    old: KeyPair,
}

impl Repository {
    fn new(kubeseal: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(when("create a folder"))?;
        let old = key(folder.path(), "old")?;
        key(folder.path(), "new")?;
        create_files(kubeseal, folder.path(), "old.pem")?;
        let repository = Self { folder, kubeseal: kubeseal.to_owned(), old };
        time(&mut repository.git(&["init", "--quiet"]), DONE)?;
        time(&mut repository.git(&["add", "--all"]), DONE)?;
        Ok(repository)
    }

    fn kubeseal(&self, arguments: &[&str]) -> Command {
        kubeseal_in(&self.kubeseal, self.folder.path(), arguments)
    }

    fn git(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }

    /// Processor time of one private-key operation of the old key.
    fn operation(&self) -> Result<Duration> {
        let unusable = || Error::Invalid("the sealing key does not open what it sealed".into());
        let label = Label::new(Scope::ClusterWide, "", "");
        let item = envelope::seal(&mut rand::rng(), self.old.public_key(), &label, b"value")
            .map_err(|_| unusable())?;
        let block = item.get(2..2 + self.old.public_key().block_len()).ok_or_else(unusable)?;
        let begin = Instant::now();
        for _ in 0..OPERATIONS {
            self.old.decrypt_oaep(label.as_bytes(), block).ok_or_else(unusable)?;
        }
        Ok(begin.elapsed() / OPERATIONS)
    }
}

/// Creates the files of a repository by `kubeseal create`, with receipts. `certificate` is a file of the folder.
///
/// # Errors
/// When the program fails.
pub(super) fn create_files(kubeseal: &Path, folder: &Path, certificate: &str) -> Result<()> {
    for number in 0..FILES {
        let (name, file) = (format!("s{number}"), format!("{number:03}.yaml"));
        let create = ["create", "generic", &name, "-n", "shop", "--cert", certificate, "-w", &file];
        let mut command = kubeseal_in(kubeseal, folder, &create);
        for item in 0..ITEMS {
            command.arg("--from-literal").arg(format!("item{item}=value-{number}-{item}"));
        }
        time(&mut command, DONE)?;
    }
    Ok(())
}

/// A command that runs kubeseal in this folder.
pub(super) fn kubeseal_in(kubeseal: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(kubeseal);
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.current_dir(folder);
    command
}

/// Writes a new key with its certificate to `NAME.key` and `NAME.pem`.
fn key(folder: &Path, name: &str) -> Result<KeyPair> {
    let invalid = |error: String| Error::Invalid(format!("a sealing key: {error}"));
    let key = KeyPair::generate(KeySize::Rsa4096).map_err(|error| invalid(error.to_string()))?;
    let request = CertificateRequest {
        common_name: String::new(),
        not_before: jiff::Timestamp::now(),
        validity: jiff::SignedDuration::from_hours(24),
        serial: [7; 16],
    };
    let certificate = request.self_sign(&key).map_err(|error| invalid(error.to_string()))?;
    let pem = key.expose_pkcs1_pem().map_err(|error| invalid(error.to_string()))?;
    fs::write(folder.join(format!("{name}.key")), pem.as_bytes()).map_err(when("write a key"))?;
    fs::write(folder.join(format!("{name}.pem")), certificate.pem()).map_err(when("write a certificate"))?;
    Ok(key)
}

/// The time of a command that ends with this exit code, in milliseconds.
pub(super) fn time(command: &mut Command, code: i32) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begin = Instant::now();
    let output = command.output().map_err(when("start a program"))?;
    let took = milliseconds(begin.elapsed());
    if output.status.code() == Some(code) {
        return Ok(took);
    }
    Err(Error::Program(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr))))
}
