//! Builds of kubeseal for platforms on which `cargo xtask dist` does not run.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use sealed_secrets_tests::Result;

use super::artefact::{Artefact, name};
use super::bill_of_materials::bill_of_materials;
use super::kubeseal;
use crate::image::KUBESEAL;

/// The platforms, each with the name of Cargo's target.
pub(super) const PLATFORMS: [(&str, &str); 3] = [
    ("darwin-amd64", "x86_64-apple-darwin"),
    ("darwin-arm64", "aarch64-apple-darwin"),
    ("windows-amd64", "x86_64-pc-windows-msvc"),
];

/// A program that Cargo built on its own platform: `PLATFORM=FILE` on the command line.
#[derive(Debug, Clone)]
pub(crate) struct ForeignProgram {
    platform: &'static str,
    target: &'static str,
    file: PathBuf,
}

impl FromStr for ForeignProgram {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, file) = text.split_once('=').ok_or("PLATFORM=FILE is expected")?;
        let known = PLATFORMS.into_iter().find(|(platform, _)| *platform == name);
        let (platform, target) = known.ok_or_else(|| {
            format!("the platform is one of {}", PLATFORMS.map(|(platform, _)| platform).join(", "))
        })?;
        Ok(Self { platform, target, file: file.into() })
    }
}

impl ForeignProgram {
    /// The archive and the bill of materials. The manual page and the completions come from a build that runs here.
    pub(super) async fn artefacts(&self, runnable: &Path) -> Result<[Artefact; 2]> {
        let name = |kind| name(KUBESEAL.name, self.platform, kind);
        let archive = kubeseal::archive(file_name(self.platform), &self.file, runnable).await?;
        let bill = bill_of_materials(&KUBESEAL, self.target).await?;
        Ok([Artefact::new(name("tar.gz"), archive), Artefact::new(name("spdx.json"), bill)])
    }
}

/// The name of the program's file on a platform.
pub(super) fn file_name(platform: &str) -> &'static str {
    if platform.starts_with("windows-") { "kubeseal.exe" } else { KUBESEAL.name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_that_cargo_does_not_build_for_is_refused_with_the_list_of_those_it_does() {
        let message = ForeignProgram::from_str("plan9-amd64=kubeseal").unwrap_err();
        assert_eq!(message, "the platform is one of darwin-amd64, darwin-arm64, windows-amd64");
        assert!(ForeignProgram::from_str("darwin-arm64").is_err());
    }
}
