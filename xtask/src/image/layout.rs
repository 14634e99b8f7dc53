//! An image as an OCI archive: a tar of content-addressed blobs and an index.
//!
//! Implements the image specification 1.1 directly: three small JSON documents and two tars.

use sealed_secrets_tests::Result;
use serde_json::{Value, json};

use crate::archive::{Archive, gzip, sha256};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// A fixed creation time, so that the same input has the same digest.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// The content of an image.
pub(crate) struct Image<'a> {
    /// The name, such as `registry.example/controller:1.0.0`.
    pub(crate) name: &'a str,
    /// The architecture by Go's names: `amd64`, `arm64`.
    pub(crate) architecture: &'a str,
    /// `User`, `Env` and so on, as a runtime reads them.
    pub(crate) settings: Value,
    /// The root file system.
    pub(crate) root: Archive,
}

/// A finished image.
pub(crate) struct Packed {
    /// The archive.
    pub(crate) archive: Vec<u8>,
    /// The digest of its manifest with the prefix `sha256:`, as registries show it.
    pub(crate) digest: String,
}

/// A blob and its descriptor.
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

/// Packs an image; the same input gives the same bytes.
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
        // containerd, and therefore kind, takes the name of an imported image from the second annotation.
        "annotations": {
            "org.opencontainers.image.ref.name": image.name.rsplit(':').next(),
            "io.containerd.image.name": image.name,
        },
    });
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor] })
}

/// The manifest that `docker load` reads unless its image store is containerd's.
fn for_docker(image: &Image, config: &Blob, layer: &Blob) -> Value {
    json!([{ "Config": config.path(), "RepoTags": [image.name], "Layers": [layer.path()] }])
}
