//! kubeseal with all that a package of it needs.

use std::path::Path;

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

use super::{Artefact, KUBESEAL, platform};
use crate::archive::Archive;
use crate::files::{cannot, read};
use crate::image::VERSION;

/// Where each shell looks for a completion of this name.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "completions/kubeseal.bash"),
    ("zsh", "completions/_kubeseal"),
    ("fish", "completions/kubeseal.fish"),
];

/// The archive of this program, named as the original's so that scripts which download it go on.
pub(super) async fn archive(program: &Path) -> Result<Artefact> {
    let root = workspace::root();
    let mut archive = Archive::default()
        .with_program(KUBESEAL, read(program)?)
        .with_file("LICENSE", read(&root.join("LICENSE"))?)
        .with_file("README.md", read(&root.join("README.md"))?)
        .with_file("man/kubeseal.1", output(program, &["man"]).await?);
    for (shell, path) in COMPLETIONS {
        archive = archive.with_file(path, output(program, &["completion", shell]).await?);
    }
    Ok(Artefact::new(format!("{KUBESEAL}-{VERSION}-{}.tar.gz", platform()?), archive.tar_gz()?))
}

async fn output(program: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.map_err(cannot(format!("start {}", program.display())))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::Program(String::from_utf8_lossy(&output.stderr).into_owned()))
}
