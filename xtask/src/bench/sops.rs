//! Measurement of sops: how long it takes to move a repository to another key.

use std::fs;
use std::path::Path;
use std::process::Command;

use sealed_secrets_tests::programs::SopsPrograms;
use sealed_secrets_tests::{Error, Result};

use super::kubeseal::when;
use super::kubeseal_repository::{DONE, FILES, ITEMS, time};

/// The milliseconds of `sops updatekeys` for all files, one file after the other, as sops takes them. The files hold Secrets of the
/// same values as the repository of kubeseal. For each file sops decrypts one data key and encrypts it again, while kubeseal
/// decrypts and encrypts each item.
///
/// # Errors
/// When a program fails.
pub(crate) fn update_keys(programs: &SopsPrograms) -> Result<f64> {
    let folder = tempfile::tempdir().map_err(when("create a folder"))?;
    let folder = folder.path();
    let (old, new) = (age_key(programs, folder, "old")?, age_key(programs, folder, "new")?);
    write_recipients(folder, &old)?;
    let files: Vec<String> = (0..FILES).map(|number| format!("{number:03}.yaml")).collect();
    for (number, file) in files.iter().enumerate() {
        fs::write(folder.join(file), secret(number)).map_err(when("write a Secret"))?;
        time(&mut sops(programs, folder, &["encrypt", "--in-place", file]), DONE)?;
    }
    write_recipients(folder, &new)?;
    files.iter().map(|file| time(&mut sops(programs, folder, &["updatekeys", "--yes", file]), DONE)).sum()
}

/// Writes a new age key to `NAME.age` and returns its recipient.
fn age_key(programs: &SopsPrograms, folder: &Path, name: &str) -> Result<String> {
    let file = format!("{name}.age");
    let mut generate = Command::new(&programs.age_keygen);
    time(generate.args(["-o", &file]).current_dir(folder), DONE)?;
    let key = fs::read_to_string(folder.join(&file)).map_err(when("read an age key"))?;
    let recipient = key.lines().find_map(|line| line.strip_prefix("# public key: "));
    recipient.map(str::to_owned).ok_or_else(|| Error::Invalid(format!("{file} names no public key")))
}

fn write_recipients(folder: &Path, recipient: &str) -> Result<()> {
    let rules = format!(
        "creation_rules:\n  - path_regex: \\.yaml$\n    encrypted_regex: ^stringData$\n    age: {recipient}\n"
    );
    fs::write(folder.join(".sops.yaml"), rules).map_err(when("write the rules of sops"))
}

fn secret(number: usize) -> String {
    let items: Vec<_> = (0..ITEMS).map(|item| format!("  item{item}: value-{number}-{item}\n")).collect();
    let items = items.concat();
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s{number}\n  namespace: shop\nstringData:\n{items}"
    )
}

fn sops(programs: &SopsPrograms, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(&programs.sops);
    command.args(arguments).current_dir(folder).env_clear().env("SOPS_AGE_KEY_FILE", folder.join("old.age"));
    command
}
