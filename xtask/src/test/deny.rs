//! cargo-deny, in a pinned version, from the user's cache.

use std::path::PathBuf;

use sealed_secrets_tests::{Result, cargo_tool};

/// The version that `deny.toml` is written for.
const VERSION: &str = "0.20.2";

/// The program, installed first if necessary.
pub(crate) fn prepare() -> Result<PathBuf> {
    cargo_tool::prepare("cargo-deny", VERSION, "6 min")
}
