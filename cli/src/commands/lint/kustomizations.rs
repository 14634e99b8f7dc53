//! Kustomizations and what they consist of, as far as it is local.

use std::path::{Path, PathBuf};

use sealed_secrets_core::lint::{Bound, Finding, bound_objects, kustomization};

use super::staged::Index;
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

/// The files that a kustomization consists of.
pub(super) enum Tree {
    Disk,
    Index(Index),
}

impl Tree {
    fn is_folder(&self, path: &Path) -> bool {
        match self {
            Self::Disk => path.is_dir(),
            Self::Index(index) => index.is_folder(path),
        }
    }

    fn is_file(&self, path: &Path) -> bool {
        match self {
            Self::Disk => path.is_file(),
            Self::Index(index) => index.is_file(path),
        }
    }

    /// The text of a file; `None` if it cannot be read.
    fn text(&self, path: &Path) -> Option<String> {
        let bytes = match self {
            Self::Disk => io::read_found(path.to_str()?).ok()?,
            Self::Index(index) => index.read_file(path)?,
        };
        String::from_utf8(bytes).ok()
    }
}

/// Findings in a kustomization.
pub(super) fn check(path: &str, text: &str, tree: &Tree) -> Vec<Finding> {
    let Some(read) = kustomization(text) else { return Vec::new() };
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut walk = Walk { tree, left: FILES };
    let objects: Vec<Bound> =
        read.resources.iter().flat_map(|resource| walk.objects(&folder.join(resource), DEPTH)).collect();
    read.check(&objects)
}

/// A walk through the resources of a kustomization.
struct Walk<'t> {
    tree: &'t Tree,
    /// The files and folders that may still be read.
    left: usize,
}

impl Walk<'_> {
    /// The bound SealedSecrets of a file, or of a folder after its own kustomization.
    fn objects(&mut self, path: &Path, depth: usize) -> Vec<Bound> {
        let Some(left) = self.left.checked_sub(1) else { return Vec::new() };
        self.left = left;
        if !self.tree.is_folder(path) {
            return self.tree.text(path).map(|text| bound_objects(&text)).unwrap_or_default();
        }
        let mut files = NAMES.iter().map(|name| path.join(name));
        let file: Option<PathBuf> = files.find(|file| self.tree.is_file(file));
        let read = file.and_then(|file| self.tree.text(&file)).and_then(|text| kustomization(&text));
        let (Some(read), Some(depth)) = (read, depth.checked_sub(1)) else { return Vec::new() };
        let inner = read.resources.iter().flat_map(|resource| self.objects(&path.join(resource), depth));
        inner.map(|object| read.applied(&object)).collect()
    }
}
