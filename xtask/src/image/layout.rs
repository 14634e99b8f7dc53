//! An image as an OCI archive: a tar of content-addressed blobs and an index.
//!
//! Made by hand from the image specification 1.1: three small JSON documents and two tars.

use sealed_secrets_tests::Result;
use serde_json::{Value, json};

use crate::archive::{Archive, gzip, sha256};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The same input is to have the same digest, so no time is told.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// What an image consists of.
pub(crate) struct Image<'a> {
    /// Such as `registry.example/controller:1.0.0`.
    pub(crate) name: &'a str,
    /// By Go's names: `amd64`, `arm64`.
    pub(crate) architecture: &'a str,
    /// `User`, `Env` and so on, as a runtime reads them.
    pub(crate) settings: Value,
    /// The whole file system.
    pub(crate) root: Archive,
}

/// A finished image.
pub(crate) struct Packed {
    /// The archive.
    pub(crate) archive: Vec<u8>,
    /// What a registry calls it: `sha256:` and the digest of its manifest.
    pub(crate) digest: String,
}

/// A piece of content and how others refer to it.
struct Blob {
    media_type: &'static str,
    content: Vec<u8>,
}

impl Blob {
    fn of(media_type: &'static str, document: &Value) -> Self {
        Self { media_type, content: document.to_string().into_bytes() }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", sha256(&self.content))
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", sha256(&self.content))
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest(), "size": self.content.len() })
    }
}

/// Packs an image; the same one gives the same bytes.
pub(crate) fn pack(image: &Image) -> Result<Packed> {
    let root = image.root.tar()?;
    let config = Blob::of(CONFIG, &config(image, &format!("sha256:{}", sha256(&root))));
    let layer = Blob { media_type: LAYER, content: gzip(&root)? };
    let manifest = Blob::of(MANIFEST, &manifest(&config, &layer));
    let digest = manifest.digest();
    let mut archive = Archive::default()
        .with_file("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }).to_string())
        .with_file("index.json", index(image, &manifest).to_string())
        .with_file("manifest.json", for_docker(image, &config, &layer).to_string());
    for blob in [config, layer, manifest] {
        archive = archive.with_file(&blob.path(), blob.content);
    }
    Ok(Packed { archive: archive.tar()?, digest })
}

fn config(image: &Image, root_digest: &str) -> Value {
    json!({
        "architecture": image.architecture,
        "os": "linux",
        "created": NO_TIME,
        "config": image.settings,
        "rootfs": { "type": "layers", "diff_ids": [root_digest] },
        "history": [{ "created": NO_TIME, "created_by": "cargo xtask image" }],
    })
}

fn manifest(config: &Blob, layer: &Blob) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
    })
}

fn index(image: &Image, manifest: &Blob) -> Value {
    let descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest(),
        "size": manifest.content.len(),
        "platform": { "architecture": image.architecture, "os": "linux" },
        // containerd, and so kind, names what it imports by the second one.
        "annotations": {
            "org.opencontainers.image.ref.name": image.name.rsplit(':').next(),
            "io.containerd.image.name": image.name,
        },
    });
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor] })
}

/// What `docker load` reads where its image store is not containerd's.
fn for_docker(image: &Image, config: &Blob, layer: &Blob) -> Value {
    json!([{ "Config": config.path(), "RepoTags": [image.name], "Layers": [layer.path()] }])
}
