//! The programs that are packed as images, and the contents of each image.

use std::path::Path;

use sealed_secrets_tests::{Error, Result};
use serde_json::{Map, Value, json};

use super::layout::{Image, Packed, pack};
use crate::archive::Archive;
use crate::files::read_text;
use crate::licenses::with_licenses;

pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
const REGISTRY: &str = "ghcr.io/sealed-secrets-rs";

/// A program of this workspace that has an image.
pub(crate) struct Program {
    /// The name of the program, of its file and of its image.
    pub(crate) name: &'static str,
    /// Cargo's package.
    pub(crate) package: &'static str,
    description: &'static str,
    ports: &'static [&'static str],
}

/// The controller.
pub(crate) const CONTROLLER: Program = Program {
    name: "controller",
    package: "sealed-secrets-controller",
    description: "Decrypts SealedSecrets into Secrets inside the cluster",
    ports: &["8080/tcp", "8081/tcp"],
};

/// The command line.
pub(crate) const KUBESEAL: Program = Program {
    name: "kubeseal",
    package: "kubeseal",
    description: "Seals Kubernetes Secrets so that they can be kept in Git",
    ports: &[],
};

impl Program {
    /// Packs a static build of the program with the other files of its root file system.
    pub(crate) fn pack(&self, executable: &[u8], source: &Path) -> Result<Packed> {
        let path = format!("usr/local/bin/{}", self.name);
        let root = Archive::default().with_program(&path, executable);
        let mut root = with_licenses(root, "usr/share/doc/sealed-secrets-rs/", source)?;
        for file in ["etc/group", "etc/nsswitch.conf", "etc/passwd"] {
            root = root.with_file(file, read_text(&source.join("deploy/image").join(file))?);
        }
        let (name, settings) = (self.image(), self.settings());
        pack(&Image { name: &name, architecture: architecture()?, settings, root })
    }

    /// The name of the image, such as `registry.example/controller:1.0.0`.
    pub(super) fn image(&self) -> String {
        format!("{REGISTRY}/{}:{VERSION}", self.name)
    }

    /// The settings with which a runtime starts it; for the controller the same as in deploy/Dockerfile.
    pub(super) fn settings(&self) -> Value {
        let ports = self.ports.iter().map(|port| ((*port).to_owned(), json!({})));
        json!({
            "User": "1001",
            "Env": ["PATH=/usr/local/bin"],
            "Entrypoint": [self.name],
            "WorkingDir": "/",
            "ExposedPorts": ports.collect::<Map<_, _>>(),
            "Labels": {
                "org.opencontainers.image.title": format!("sealed-secrets-rs {}", self.name),
                "org.opencontainers.image.description": self.description,
                "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
                "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
                "org.opencontainers.image.version": VERSION,
            },
        })
    }
}

/// This machine's architecture by Go's name.
pub(crate) fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => Err(Error::Invalid(format!("no image is made for {other}"))),
    }
}
