//! The files of a release that others install from.

use std::iter;
use std::path::Path;

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

use super::artefact::{Artefact, PLATFORMS, name};
use super::foreign::{self, file_name};
use crate::archive::sha256;
use crate::files::cannot;
use crate::image::{KUBESEAL, VERSION};
use crate::licenses::{self, LICENSES};

const BASE: &str = "deploy/kustomize/base";
const HOME: &str = env!("CARGO_PKG_REPOSITORY");

/// One file for `kubectl apply -f`: what `kubectl apply -k deploy/kustomize/base` applies.
pub(super) async fn install(kubectl: &Path) -> Result<Artefact> {
    let folder = workspace::root().join(BASE);
    let output = Command::new(kubectl).arg("kustomize").arg(folder).output().await;
    let output = output.map_err(cannot(format!("start {}", kubectl.display())))?;
    if output.status.success() {
        return Ok(Artefact::new("install.yaml", output.stdout));
    }
    Err(Error::Program(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The manifest with which krew, kubectl's package manager, installs kubeseal as `kubectl sealed-secrets`, for every platform
/// with an archive among the `artefacts`.
pub(super) fn krew(artefacts: &[Artefact]) -> Artefact {
    let archive = |platform| {
        let name = name(KUBESEAL.name, platform, "tar.gz");
        artefacts.iter().find(|artefact| artefact.name == name)
    };
    let foreign = foreign::PLATFORMS.into_iter().map(|(platform, _)| platform);
    let platforms = PLATFORMS.into_iter().chain(foreign);
    let platforms: String =
        platforms.filter_map(|platform| Some(krew_platform(platform, archive(platform)?))).collect();
    let manifest = format!(
        "\
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: sealed-secrets
spec:
  version: v{VERSION}
  homepage: {HOME}
  shortDescription: Encrypt Secrets so that they can be kept in Git
  description: |
    Encrypts a Secret with the certificate of a cluster. The result, a SealedSecret, may be published:
    only the controller inside that cluster can open it.
  caveats: |
    The cluster needs the sealed-secrets controller: {HOME}#install
  platforms:
{platforms}"
    );
    Artefact::new("krew.yaml", manifest)
}

fn krew_platform(platform: &str, archive: &Artefact) -> String {
    let (system, architecture) = platform.split_once('-').unwrap_or((platform, ""));
    let (name, digest, program) = (&archive.name, sha256(&archive.content), file_name(platform));
    let files = iter::once(program).chain(LICENSES.map(licenses::name));
    let files: Vec<_> = files.map(|file| format!("        - from: {file}\n          to: .\n")).collect();
    let files = files.concat();
    format!(
        "    - selector:
        matchLabels:
          os: {system}
          arch: {architecture}
      uri: {HOME}/releases/download/v{VERSION}/{name}
      sha256: {digest}
      files:
{files}      bin: {program}
"
    )
}
