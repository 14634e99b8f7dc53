//! The files that others install from.

use std::path::Path;

use sealed_secrets_tests::{Error, Result, workspace};
use tokio::process::Command;

use super::Artefact;
use crate::archive::sha256;
use crate::files::cannot;
use crate::image::VERSION;

const BASE: &str = "deploy/kustomize/base";

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

/// The manifest by which krew, kubectl's package manager, installs kubeseal as `kubectl sealed-secrets`.
pub(super) fn krew(archive: &Artefact, platform: &str) -> Artefact {
    let home = env!("CARGO_PKG_REPOSITORY");
    let (system, architecture) = platform.split_once('-').unwrap_or((platform, ""));
    let (name, digest) = (&archive.name, sha256(&archive.content));
    let manifest = format!(
        "\
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: sealed-secrets
spec:
  version: v{VERSION}
  homepage: {home}
  shortDescription: Encrypt Secrets so that they can be kept in Git
  description: |
    Encrypts a Secret with the certificate of a cluster. The result, a SealedSecret, may be published:
    only the controller inside that cluster can open it.
  caveats: |
    The cluster needs the sealed-secrets controller: {home}#install
  platforms:
    - selector:
        matchLabels:
          os: {system}
          arch: {architecture}
      uri: {home}/releases/download/v{VERSION}/{name}
      sha256: {digest}
      files:
        - from: kubeseal
          to: .
        - from: LICENSE
          to: .
      bin: kubeseal
"
    );
    Artefact::new("krew.yaml", manifest)
}
