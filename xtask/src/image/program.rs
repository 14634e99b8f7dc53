//! Release builds of programs: static and reproducible.

use std::path::{Path, PathBuf};

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

use crate::test::step;

/// Everything in one file, and random numbers from the system call alone: otherwise a static program would not find the call and
/// open `/dev/urandom`.
pub(crate) const FLAGS: [&str; 2] =
    ["-Ctarget-feature=+crt-static", "--cfg=getrandom_backend=\"linux_getrandom\""];
/// Separates the flags in `CARGO_ENCODED_RUSTFLAGS`.
const SEPARATOR: &str = "\u{1f}";

/// Folders whose names would occur in a program, each with its replacement.
struct Renaming(Vec<(PathBuf, &'static str)>);

impl Renaming {
    /// Renames for sources in `source` that are built in `target`. If several match, the last one applies.
    fn of(source: &Path, target: &Path) -> Result<Self> {
        Ok(Self(vec![
            (cargo_home()?, "/cargo"),
            (source.to_owned(), "/source"),
            (target.to_owned(), "/target"),
        ]))
    }

    fn flags(&self, option: &str) -> Vec<String> {
        self.0.iter().map(|(folder, name)| format!("{option}{}={name}", folder.display())).collect()
    }
}

/// Builds `package` from `source` in the folder `target`, and returns the folder with its program. Each package is built alone:
/// in a common build it would get the features of the other packages' dependencies, too.
///
/// # Errors
/// [`Error::Missing`] where no static program can be built, [`Error::Program`] with Cargo's output.
pub(crate) async fn build(package: &str, source: &Path, target: &Path) -> Result<PathBuf> {
    let platform = platform()?;
    let renaming = Renaming::of(source, target)?;
    let mut command = step::cargo(&["build", "--release", "--locked", "--package", package]);
    command.args(["--target", &platform, "--target-dir"]).arg(target);
    command.current_dir(source).env_remove("RUSTFLAGS");
    rename(&mut command, &renaming);
    let finished = step::quietly(&mut command).await?;
    if finished.success {
        return Ok(target.join(platform).join("release"));
    }
    Err(Error::Program(format!("{package} cannot be built:\n{}", finished.output)))
}

fn rename(command: &mut Command, renaming: &Renaming) {
    let mut flags = FLAGS.map(str::to_owned).to_vec();
    flags.extend(renaming.flags("--remap-path-prefix="));
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join(SEPARATOR));
    command.env("CFLAGS", renaming.flags("-ffile-prefix-map=").join(" "));
}

/// The target platform for Cargo, so that flags for the programs do not affect build scripts and macros.
pub(crate) fn platform() -> Result<String> {
    if cfg!(target_os = "linux") {
        return Ok(format!("{}-unknown-linux-gnu", std::env::consts::ARCH));
    }
    Err(Error::Missing("a static program for Linux needs Linux: use deploy/Dockerfile".into()))
}

fn cargo_home() -> Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .ok_or_else(|| Error::Invalid("no home folder: set HOME or CARGO_HOME".into()))
}

/// The target folder of this workspace.
pub(crate) fn target_folder() -> PathBuf {
    let chosen = std::env::var_os("CARGO_TARGET_DIR").map(|folder| workspace::root().join(folder));
    chosen.unwrap_or_else(|| workspace::root().join("target"))
}
