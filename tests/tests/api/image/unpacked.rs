//! An OCI archive, unpacked as by a runtime.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

use flate2::read::GzDecoder;
use sealed_secrets_tests::{ImageRoot, tar_files, workspace};
use serde_json::Value;
use tempfile::TempDir;

/// The controller's image: its configuration, and its files in a folder.
pub(super) struct Unpacked {
    pub(super) config: Value,
    layer: Vec<u8>,
    folder: TempDir,
}

impl Unpacked {
    /// Unpacks the image that `cargo xtask image` built.
    pub(super) fn image() -> Self {
        let archive = fs::read(workspace::image("controller")).expect("`cargo xtask image` was run");
        let files = tar_files(archive.as_slice()).unwrap();
        let manifest = blob(&files, &document(&files["index.json"])["manifests"][0]);
        let manifest = document(manifest);
        let mut layer = Vec::new();
        GzDecoder::new(blob(&files, &manifest["layers"][0])).read_to_end(&mut layer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        tar::Archive::new(layer.as_slice()).unpack(folder.path()).unwrap();
        Self { config: document(blob(&files, &manifest["config"])), layer, folder }
    }

    /// The settings for a runtime, with the API server under this name.
    pub(super) fn root(&self, api_server: &str) -> ImageRoot {
        let config = &self.config["config"];
        let path =
            config["Env"].as_array().unwrap().iter().find_map(|line| line.as_str()?.strip_prefix("PATH="));
        ImageRoot {
            root: self.folder.path().to_owned(),
            user: config["User"].as_str().unwrap().to_owned(),
            path: path.unwrap().to_owned(),
            api_server: api_server.to_owned(),
        }
    }

    pub(super) fn write(&self, path: &str, content: &str) {
        fs::write(self.folder.path().join(path), content).unwrap();
    }

    pub(super) fn read(&self, path: &str) -> String {
        String::from_utf8(self.bytes(path)).unwrap()
    }

    pub(super) fn bytes(&self, path: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(path)).unwrap()
    }

    /// The size of all files in bytes, uncompressed.
    pub(super) fn size(&self) -> u64 {
        self.layer.len() as u64
    }

    pub(super) fn every_file_is_roots_and_readable_for_all(&self) {
        let mut archive = tar::Archive::new(self.layer.as_slice());
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let (header, path) = (entry.header(), entry.path().unwrap().display().to_string());
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0), "{path}");
            let mode = header.mode().unwrap();
            assert!(mode & 0o444 == 0o444 && mode & 0o022 == 0, "{path}: {mode:o}");
            if header.entry_type().is_dir() || path.ends_with("/controller") {
                assert_eq!(mode & 0o111, 0o111, "{path}");
            }
        }
    }
}

fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().unwrap();
    &files[&format!("blobs/{}", digest.replace(':', "/"))]
}

fn document(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap()
}
