//! The crates and tests that a change can affect.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

use super::build::TestProgram;
use super::steps::ApiRun;

/// All packages, by folder.
const PACKAGES: [&str; 6] = ["crds", "core", "controller", "cli", "tests", "xtask"];

/// The packages whose tests a change in a folder can affect, its own included.
const DEPENDENTS: [(&str, &[&str]); 12] = [
    ("crds", &PACKAGES),
    ("core", &PACKAGES),
    ("controller", &["controller", "tests"]),
    ("cli", &["cli", "tests"]),
    ("tests", &["tests", "xtask"]),
    ("xtask", &["xtask"]),
    ("deploy", &["tests", "xtask"]),
    ("docs", &["tests"]),
    ("fuzz", &["core", "controller", "cli", "tests", "xtask"]),
    (".ci", &[]),
    (".github", &["tests"]),
    ("README.md", &["tests"]),
];

/// Words in the names of the API tests that run our kubeseal.
const OF_KUBESEAL: [&str; 5] = ["kubeseal", "differential", "pages", "gitops", "service_proxy"];

/// The part of a run that a change can affect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Affected {
    packages: BTreeSet<&'static str>,
    api: ApiTests,
    /// True if the change can affect the controller's image.
    pub(crate) image: bool,
}

/// The tests on the API server that a change can affect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ApiTests {
    None,
    OfKubeseal,
    All,
}

impl Affected {
    pub(crate) fn everything() -> Self {
        Self { packages: PACKAGES.into(), api: ApiTests::All, image: true }
    }

    /// Lists the files that differ from `revision`, including uncommitted ones, and determines the affected parts.
    ///
    /// # Errors
    /// When git does not know the revision.
    pub(crate) async fn since(revision: &str) -> Result<Self> {
        let mut files = git(&["diff", "--name-only", revision, "--"]).await?;
        files.push_str(&git(&["ls-files", "--others", "--exclude-standard"]).await?);
        Ok(Self::by(files.lines()))
    }

    fn by<'f>(files: impl Iterator<Item = &'f str>) -> Self {
        let mut affected = Self { packages: BTreeSet::new(), api: ApiTests::None, image: false };
        for file in files {
            let folder = file.split('/').next().unwrap_or(file);
            let Some((folder, packages)) = DEPENDENTS.iter().find(|(known, _)| *known == folder) else {
                if Path::new(file).extension().is_some_and(|extension| extension == "md") {
                    affected.packages.insert("tests");
                    continue;
                }
                // Cargo.toml, Cargo.lock and settings of tools affect everything.
                return Self::everything();
            };
            affected.packages.extend(*packages);
            affected.api = affected.api.max(api_tests_of(folder));
            affected.image |= matches!(*folder, "crds" | "core" | "controller" | "deploy");
        }
        affected
    }

    pub(crate) fn is_everything(&self) -> bool {
        *self == Self::everything()
    }

    pub(crate) fn has(&self, package: &str) -> bool {
        self.packages.contains(package)
    }

    /// The run with the shipped CRDs and permissions.
    pub(crate) fn api_run<'a>(&self, program: &'a TestProgram) -> Option<ApiRun<'a>> {
        match self.api {
            ApiTests::None => None,
            ApiTests::OfKubeseal => {
                let filters = OF_KUBESEAL.map(OsString::from).to_vec();
                Some(ApiRun::with("tests with an API server", program, filters))
            }
            ApiTests::All => Some(ApiRun::of_everything(program)),
        }
    }
}

fn api_tests_of(folder: &str) -> ApiTests {
    match folder {
        "cli" | "docs" | "README.md" => ApiTests::OfKubeseal,
        "xtask" | "fuzz" | ".ci" | ".github" => ApiTests::None,
        _ => ApiTests::All,
    }
}

impl fmt::Display for Affected {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packages: Vec<_> = self.packages.iter().copied().collect();
        let packages = if packages.is_empty() { "none".to_owned() } else { packages.join(", ") };
        let api = match self.api {
            ApiTests::None => "none",
            ApiTests::OfKubeseal => "those of kubeseal",
            ApiTests::All => "all",
        };
        write!(out, "Affected crates: {packages}; tests on the API server: {api}")
    }
}

async fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").args(arguments).current_dir(workspace::root()).output().await;
    let output = output.map_err(|source| Error::Io { action: "start git".into(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Program(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affected(files: &[&str]) -> Affected {
        Affected::by(files.iter().copied())
    }

    #[test]
    fn a_change_of_the_domain_affects_everything() {
        assert!(affected(&["core/src/seal.rs"]).is_everything());
        assert!(affected(&["docs/guide.md", "Cargo.lock"]).is_everything());
    }

    #[test]
    fn a_change_of_kubeseal_leaves_the_controller_alone() {
        let affected = affected(&["cli/src/main.rs", "docs/guide.md"]);
        assert_eq!(affected.packages, ["cli", "tests"].into());
        assert_eq!((affected.api, affected.image), (ApiTests::OfKubeseal, false));
    }

    #[test]
    fn a_change_of_the_controller_affects_all_tests_on_the_api_server() {
        let affected = affected(&["controller/src/main.rs"]);
        assert_eq!(affected.packages, ["controller", "tests"].into());
        assert_eq!((affected.api, affected.image), (ApiTests::All, true));
    }

    #[test]
    fn nothing_changed_affects_nothing() {
        assert_eq!(affected(&[]).to_string(), "Affected crates: none; tests on the API server: none");
    }

    #[test]
    fn every_folder_and_package_is_known() {
        for folder in std::fs::read_dir(workspace::root()).unwrap().flatten() {
            let name = folder.file_name().to_string_lossy().into_owned();
            let is_other = !folder.path().is_dir() || matches!(name.as_str(), ".git" | "target" | ".cargo");
            assert!(is_other || DEPENDENTS.iter().any(|(known, _)| *known == name), "{name}");
        }
    }
}
