//! The archive of kubeseal, with the files that packages of it need.

use std::path::Path;

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

use crate::archive::Archive;
use crate::files::{cannot, read};
use crate::licenses::with_licenses;

/// The folder in which each shell looks for a completion of this name.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "completions/kubeseal.bash"),
    ("zsh", "completions/_kubeseal"),
    ("fish", "completions/kubeseal.fish"),
];

/// The archive of `program`, which has the name `name` inside. `runnable` prints the manual page and the completions: the same
/// program, or a build for this machine. The name of the archive, set elsewhere, resembles the original's, so that scripts which
/// download it keep working.
pub(super) async fn archive(name: &str, program: &Path, runnable: &Path) -> Result<Vec<u8>> {
    let root = workspace::root();
    let mut archive = Archive::default()
        .with_program(name, read(program)?)
        .with_file("README.md", read(&root.join("README.md"))?)
        .with_file("man/kubeseal.1", output(runnable, &["man"]).await?);
    archive = with_licenses(archive, "", &root)?;
    for (shell, path) in COMPLETIONS {
        archive = archive.with_file(path, output(runnable, &["completion", shell]).await?);
    }
    archive.tar_gz()
}

async fn output(program: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.map_err(cannot(format!("start {}", program.display())))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::Program(String::from_utf8_lossy(&output.stderr).into_owned()))
}
