//! Kustomizations and what they consist of, as far as it is local.

use std::path::{Path, PathBuf};

use sealed_secrets_core::lint::{Bound, Finding, bound_objects, kustomization};

use crate::io;

const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Bases of bases that are followed.
const DEPTH: usize = 16;
/// Maximum number of files and folders of one kustomization that are read: each may name itself many times.
const FILES: usize = 1_000;

/// True for the names of kustomizations.
pub(super) fn is_kustomization(path: &str) -> bool {
    Path::new(path).file_name().is_some_and(|name| NAMES.iter().any(|known| name == *known))
}

/// Findings in a kustomization.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let Some(read) = kustomization(text) else { return Vec::new() };
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut walk = Walk { left: FILES };
    let objects: Vec<Bound> =
        read.resources.iter().flat_map(|resource| walk.objects(&folder.join(resource), DEPTH)).collect();
    read.check(&objects)
}

/// A walk through the resources of a kustomization.
struct Walk {
    /// The files and folders that may still be read.
    left: usize,
}

impl Walk {
    /// The bound SealedSecrets of a file, or of a folder after its own kustomization.
    fn objects(&mut self, path: &Path, depth: usize) -> Vec<Bound> {
        let Some(left) = self.left.checked_sub(1) else { return Vec::new() };
        self.left = left;
        if !path.is_dir() {
            return text(path).map(|text| bound_objects(&text)).unwrap_or_default();
        }
        let file: Option<PathBuf> = NAMES.iter().map(|name| path.join(name)).find(|file| file.is_file());
        let read = file.and_then(|file| text(&file)).and_then(|text| kustomization(&text));
        let (Some(read), Some(depth)) = (read, depth.checked_sub(1)) else { return Vec::new() };
        let inner = read.resources.iter().flat_map(|resource| self.objects(&path.join(resource), depth));
        inner.map(|object| read.applied(&object)).collect()
    }
}

/// The text of a file; `None` if it cannot be read.
fn text(path: &Path) -> Option<String> {
    String::from_utf8(io::read_found(path.to_str()?).ok()?).ok()
}
