//! Paths in this repository.

use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};

/// The folder with the workspace's `Cargo.toml`.
#[must_use]
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// The path where `cargo xtask image` puts the image of a program, an OCI archive.
#[must_use]
pub fn image(program: &str) -> PathBuf {
    root().join(format!("target/image/{program}.oci.tar"))
}

/// The program `name` that Cargo built for release, in the target folder of the running program.
///
/// # Errors
/// [`Error::Missing`] when it was not built.
pub fn released_program(name: &str) -> Result<PathBuf> {
    let running = std::env::current_exe().when(|| "find the running program".into())?;
    let folders = running.ancestors().find(|folder| folder.join("release").is_dir());
    let program = folders.unwrap_or(Path::new(".")).join("release").join(name);
    if program.is_file() {
        return Ok(program);
    }
    Err(Error::Missing(format!("{} is not built: run `cargo build --release`", program.display())))
}

/// The program `name` that Cargo built beside the running program, in the same profile.
///
/// # Errors
/// [`Error::Missing`] when it was not built.
pub fn built_program(name: &str) -> Result<PathBuf> {
    let running = std::env::current_exe().when(|| "find the running program".into())?;
    let folder = running.parent().unwrap_or(Path::new("."));
    let profile = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let program = profile.join(name);
    if program.is_file() {
        return Ok(program);
    }
    Err(Error::Missing(format!("{} is not built: run `cargo build --workspace` first", program.display())))
}
