//! Programs that are pinned by a `go.mod` in this repository and built from source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::Cache;
use crate::error::{Error, IoContext, Result};
use crate::progress::timed;
use crate::workspace;

/// A program that a Go module of this repository pins with a `tool` line.
pub(crate) struct GoProgram {
    /// The name of the finished file.
    pub(crate) name: &'static str,
    /// The package to build.
    pub(crate) package: &'static str,
    /// The usual duration of the first build on two cores.
    pub(crate) usually: &'static str,
}

/// A folder of this repository with `go.mod` and `go.sum`.
pub(crate) struct GoModule {
    folder: PathBuf,
    definition: String,
    sums: Vec<u8>,
    tags: &'static str,
}

impl GoModule {
    /// Reads the module in `tests/<name>`.
    pub(crate) fn read(name: &str) -> Result<Self> {
        let folder = workspace::root().join("tests").join(name);
        let definition = folder.join("go.mod");
        let sums = folder.join("go.sum");
        Ok(Self {
            definition: fs::read_to_string(&definition).when(|| format!("read {}", definition.display()))?,
            sums: fs::read(&sums).when(|| format!("read {}", sums.display()))?,
            folder,
            tags: "",
        })
    }

    /// The module, built with these build tags.
    pub(crate) fn with_tags(self, tags: &'static str) -> Self {
        Self { tags, ..self }
    }

    /// A source file of the module, for our own programs.
    pub(crate) fn source(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.folder.join(name);
        fs::read(&path).when(|| format!("read {}", path.display()))
    }

    /// The version that `go.mod` requires of `module`, such as `v1.36.3`.
    pub(crate) fn version_of(&self, module: &str) -> Result<&str> {
        required_version(&self.definition, module).ok_or_else(|| {
            Error::Invalid(format!("{}/go.mod does not require {module}", self.folder.display()))
        })
    }

    /// The cache folder for programs built from exactly this module with these linker flags.
    pub(crate) fn cache(&self, name: &str, linker_flags: &str) -> Result<Cache> {
        Cache::keyed(name, &[self.definition.as_bytes(), &self.sums, linker_flags.as_bytes()])
    }

    /// Builds one program and puts it into the cache.
    pub(crate) fn build(&self, program: &GoProgram, linker_flags: &str, cache: &Cache) -> Result<()> {
        let scratch = cache.scratch()?;
        let output = scratch.path().join(program.name);
        let what = format!("building {} from its Go module, the first time only", program.name);
        timed(&what, program.usually, || self.go_build(program.package, linker_flags, &output))?;
        cache.publish(&output, program.name)
    }

    fn go_build(&self, package: &str, linker_flags: &str, output: &Path) -> Result<()> {
        let result = Command::new("go")
            .args([
                "build",
                "-trimpath",
                "-buildvcs=false",
                "-tags",
                self.tags,
                "-ldflags",
                linker_flags,
                "-o",
            ])
            .arg(output)
            .arg(package)
            .current_dir(&self.folder)
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null())
            .output()
            .when(|| format!("start `go` to build {package}"))?;
        if result.status.success() {
            return Ok(());
        }
        Err(Error::Program(format!(
            "go build {package} failed:\n{}",
            String::from_utf8_lossy(&result.stderr)
        )))
    }
}

/// Returns true if a Go toolchain can be started.
pub(crate) fn go_is_installed() -> bool {
    let version = Command::new("go").arg("version").stdin(Stdio::null()).output();
    version.is_ok_and(|output| output.status.success())
}

/// Finds the version of `module` in a `require` line, inside or outside of a block.
fn required_version<'a>(definition: &'a str, module: &str) -> Option<&'a str> {
    definition.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        (name == module && version.starts_with('v')).then_some(version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_a_block_and_from_a_line() {
        let block = "require (\n\tk8s.io/kubernetes v1.36.3\n\tk8s.io/kubernetes-more v9.9.9\n)\n";
        assert_eq!(required_version(block, "k8s.io/kubernetes"), Some("v1.36.3"));
        assert_eq!(required_version("require a/b v1.0.0 // indirect\n", "a/b"), Some("v1.0.0"));
    }

    #[test]
    fn a_replace_line_is_not_a_version() {
        assert_eq!(required_version("replace a/b => c/d v1.0.0\n\ta/b => c/d v2.0.0\n", "a/b"), None);
    }

    #[test]
    fn both_modules_name_their_versions() {
        assert!(GoModule::read("control-plane").unwrap().version_of("k8s.io/kubernetes").is_ok());
        assert!(GoModule::read("upstream").unwrap().version_of("github.com/bitnami/sealed-secrets").is_ok());
    }
}
