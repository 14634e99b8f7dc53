//! The archives that Kubernetes publishes for tests: etcd, kube-apiserver and kubectl, without the controller manager.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use sha2::{Digest, Sha512};

use crate::cache::Cache;
use crate::error::{Error, IoContext, Result};
use crate::hex::hex;
use crate::progress::timed;

const INDEX: &str =
    "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml";
/// The programs in the archives.
pub(crate) const PROGRAMS: [&str; 3] = ["etcd", "kube-apiserver", "kubectl"];

/// The published list: release, archive name, URL and digest.
#[derive(Debug, Deserialize)]
struct Index {
    releases: BTreeMap<String, BTreeMap<String, Archive>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Archive {
    /// SHA-512 in hexadecimal.
    hash: String,
    self_link: String,
}

/// Puts the published programs of exactly `version` into the cache, digest verified.
///
/// Fails quickly where the network does not allow it, since other sources exist.
pub(crate) fn fetch(version: &str, cache: &Cache) -> Result<()> {
    let scratch = cache.scratch()?;
    let index = scratch.path().join("index.yaml");
    download(INDEX, &index, 10)?;
    let index = fs::read_to_string(&index).when(|| "read the list of published programs".into())?;
    let archive = find(&index, version)?;
    let file = scratch.path().join("archive.tar.gz");
    timed(&format!("fetching {}", archive.self_link), "30 s", || download(&archive.self_link, &file, 600))?;
    verify(&file, &archive.hash)?;
    unpack(&file, scratch.path())?;
    for program in PROGRAMS {
        cache.publish(&scratch.path().join("controller-tools/envtest").join(program), program)?;
    }
    Ok(())
}

/// The archive for this platform in the published list.
fn find(index: &str, version: &str) -> Result<Archive> {
    let index: Index = serde_saphyr::from_str(index)
        .map_err(|error| Error::Invalid(format!("the list of published programs cannot be read: {error}")))?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let system = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    let name = format!("envtest-{version}-{system}-{architecture}.tar.gz");
    let archive = index.releases.get(version).and_then(|release| release.get(&name));
    archive.cloned().ok_or_else(|| Error::Invalid(format!("{name} is not published")))
}

fn download(address: &str, file: &Path, seconds: u32) -> Result<()> {
    let limit = seconds.to_string();
    let result = Command::new("curl")
        .args(["--fail", "--silent", "--show-error", "--location", "--proto", "=https"])
        .args(["--connect-timeout", "5", "--max-time", &limit, "--output"])
        .arg(file)
        .arg(address)
        .stdin(Stdio::null())
        .output()
        .when(|| "start curl".into())?;
    if result.status.success() {
        return Ok(());
    }
    Err(Error::Program(String::from_utf8_lossy(&result.stderr).trim().to_owned()))
}

fn verify(file: &Path, expected: &str) -> Result<()> {
    let bytes = fs::read(file).when(|| format!("read {}", file.display()))?;
    let actual = hex(&Sha512::digest(&bytes));
    if actual.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Error::Invalid(format!("the archive's digest is {actual}, published is {expected}: not used")))
}

fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    let status =
        Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder).stdin(Stdio::null()).status();
    match status.when(|| "start tar".into())? {
        status if status.success() => Ok(()),
        status => Err(Error::Program(format!("tar could not unpack {}: {status}", archive.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_archive_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("archive");
        fs::write(&file, "abc").unwrap();
        // FIPS 180-2, appendix C.1
        let digest = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        verify(&file, digest).unwrap();
        fs::write(&file, "abd").unwrap();
        assert!(verify(&file, digest).is_err());
    }

    #[test]
    fn only_the_wanted_version_of_this_platform_is_taken() {
        let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let index = format!(
            "releases:\n  v1.36.3:\n    envtest-v1.36.3-{system}-{architecture}.tar.gz:\n      hash: aa\n      \
             selfLink: https://example.com/a\n    envtest-v1.36.3-plan9-mips.tar.gz:\n      hash: bb\n      \
             selfLink: https://example.com/b\n"
        );
        assert_eq!(find(&index, "v1.36.3").unwrap().hash, "aa");
        assert!(find(&index, "v1.36.2").is_err());
    }
}
