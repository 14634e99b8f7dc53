//! The project file `.kubeseal.yaml`: clusters of a repository, and rules that assign files to them.

mod content;
#[cfg(any(test, fuzzing))]
mod fuzzed;
mod reader;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use content::Content;
pub(crate) use content::{Cluster, Rule};
#[cfg(any(test, fuzzing))]
pub use fuzzed::project;

use crate::error::{Error, FileProblem};
use crate::{io, platform};

/// The name of the file.
pub(crate) const FILE_NAME: &str = ".kubeseal.yaml";

/// A project file and its place.
pub(crate) struct Project {
    /// Its path, for messages.
    pub(crate) name: String,
    folder: PathBuf,
    /// For its comments.
    text: String,
    content: Content,
}

impl Project {
    /// Its text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The first rule whose path matches the file.
    pub(crate) fn rule(&self, file: &Path) -> Option<&Rule> {
        let relative = file.strip_prefix(&self.folder).ok()?;
        self.content.rules.iter().find(|rule| rule.matches(relative))
    }

    /// True if the project ignores this rule of the linter for the file.
    pub(crate) fn ignores(&self, file: &Path, rule: &str) -> bool {
        let relative = file.strip_prefix(&self.folder).unwrap_or(file);
        self.content.ignores.iter().any(|ignore| ignore.covers(relative, rule))
    }

    /// All clusters with their names.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = (&str, &Cluster)> {
        self.content.clusters.iter().map(|(name, cluster)| (name.as_str(), cluster))
    }

    /// The cluster of this name.
    pub(crate) fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.content.clusters.get(name)
    }

    /// The names of all clusters.
    pub(crate) fn cluster_names(&self) -> impl Iterator<Item = &str> {
        self.content.clusters.keys().map(String::as_str)
    }

    /// False if receipts are not wanted.
    pub(crate) fn has_receipts(&self) -> bool {
        self.content.receipts
    }

    /// The certificate of a cluster as a value of `--cert`. A path is relative to the project file.
    pub(crate) fn certificate(&self, cluster: &Cluster) -> Option<String> {
        let certificate = cluster.certificate.as_deref()?;
        if certificate.contains("://") {
            return Some(certificate.to_owned());
        }
        Some(display_path(&self.folder.join(certificate)))
    }
}

/// Project files that were looked for, by folder.
#[derive(Default)]
pub(crate) struct Projects {
    found: RefCell<BTreeMap<PathBuf, Option<Arc<Project>>>>,
}

impl Projects {
    /// The nearest project file: upward from `folder` to the root of the work tree; outside of one, in `folder` only.
    ///
    /// # Errors
    /// When the file cannot be read, cannot be used, or belongs to another user.
    pub(crate) fn of(&self, folder: &Path) -> Result<Option<Arc<Project>>, Error> {
        if let Some(found) = self.found.borrow().get(folder) {
            return Ok(found.clone());
        }
        let project = find(folder)?.map(|file| read(&file, folder)).transpose()?.map(Arc::new);
        self.found.borrow_mut().insert(folder.to_owned(), project.clone());
        Ok(project)
    }
}

fn find(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let root = folder.ancestors().find(|ancestor| ancestor.join(".git").exists()).unwrap_or(folder);
    for ancestor in folder.ancestors().take_while(|ancestor| ancestor.starts_with(root)) {
        let file = ancestor.join(FILE_NAME);
        match fs::symlink_metadata(&file) {
            Ok(_) => return Ok(Some(file)),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(Error::File { operation: "open", path: display_path(&file), cause }),
        }
    }
    Ok(None)
}

fn read(file: &Path, start: &Path) -> Result<Project, Error> {
    let name = display_path(file);
    let failed = |cause| Error::File { operation: "open", path: display_path(file), cause };
    let refused = |line, cause| Error::Project { file: name.clone(), line, cause };
    let metadata = fs::metadata(file).map_err(failed)?;
    if !metadata.is_file() {
        return Err(refused(1, FileProblem::NotRegular(platform::kind_of(&metadata)).to_string()));
    }
    if !platform::is_trusted(file, start).map_err(failed)? {
        return Err(refused(
            1,
            "the file belongs to another user, and may name a certificate of theirs".to_owned(),
        ));
    }
    let bytes = io::read_named(&name)?;
    let content = Content::parse(&bytes);
    let content = content.map_err(|(line, cause)| refused(line, cause))?;
    let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
    let text = String::from_utf8(bytes).unwrap_or_default();
    Ok(Project { name, folder, text, content })
}

/// A path for messages: relative to the current folder if that or the path is below the other.
pub(crate) fn display_path(path: &Path) -> String {
    let current = std::env::current_dir().and_then(fs::canonicalize).unwrap_or_default();
    if let Ok(below) = path.strip_prefix(&current) {
        return below.display().to_string();
    }
    let above = current.ancestors().enumerate().skip(1).find(|(_, folder)| path.starts_with(folder));
    let is_near = |(levels, folder): &(usize, &Path)| *levels <= 8 && folder.parent().is_some();
    match above.filter(is_near) {
        Some((levels, folder)) => {
            let rest = path.strip_prefix(folder).unwrap_or(path);
            Path::new(&"../".repeat(levels)).join(rest).display().to_string()
        }
        None => path.display().to_string(),
    }
}
