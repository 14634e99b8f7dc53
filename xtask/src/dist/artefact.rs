//! The files of a release, and their names.

use crate::image::VERSION;

/// The platforms of images and archives, on which `cargo xtask dist` runs.
pub(super) const PLATFORMS: [&str; 2] = ["linux-amd64", "linux-arm64"];

/// A file of the release.
pub(crate) struct Artefact {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

impl Artefact {
    pub(crate) fn new(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), content: content.into() }
    }
}

/// The name of a program's file for one platform.
pub(super) fn name(program: &str, platform: &str, kind: &str) -> String {
    format!("{program}-{VERSION}-{platform}.{kind}")
}
