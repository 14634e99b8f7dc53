//! Cargo subcommands that a run needs, in pinned versions.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::cache::Cache;
use crate::error::{Error, IoContext, Result};
use crate::progress::timed;

/// The program of the crate `name` in exactly `version`, installed into the user's cache if necessary.
///
/// # Errors
/// [`Error::Program`] with Cargo's output when it cannot be installed.
pub fn prepare(name: &str, version: &str, usually: &str) -> Result<PathBuf> {
    let cache = Cache::keyed(&format!("{name}-{version}"), &[])?;
    if !cache.has(name) {
        let _lock = cache.lock()?;
        if !cache.has(name) {
            let what = format!("installing {name} {version}, the first time only");
            timed(&what, usually, || install(name, version, &cache))?;
        }
    }
    Ok(cache.path(name))
}

fn install(name: &str, version: &str, cache: &Cache) -> Result<()> {
    let scratch = cache.scratch()?;
    let output = Command::new("cargo")
        .args(["install", "--locked", "--version", &format!("={version}"), name, "--root"])
        .arg(scratch.path())
        .arg("--target-dir")
        .arg(scratch.path().join("target"))
        .current_dir(scratch.path())
        .stdin(Stdio::null())
        .output()
        .when(|| format!("start `cargo install {name}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Program(format!("cargo install {name} {version} failed:\n{said}")));
    }
    cache.publish(&scratch.path().join("bin").join(name), name)
}
