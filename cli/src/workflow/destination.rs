//! The rule of the project file that applies to a file.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealed_secrets_crds::Scope;

use crate::error::Error;
use crate::options::ClusterOptions;
use crate::project::{Cluster, Project, Projects};

/// Finds the destinations of files.
#[derive(Default)]
pub(crate) struct Destinations {
    projects: Projects,
    /// Folders as they are written, and resolved.
    folders: RefCell<BTreeMap<PathBuf, PathBuf>>,
}

/// The cluster that a file is for, and what its rule says.
#[derive(Clone, Default)]
pub(crate) struct Destination {
    project: Option<Arc<Project>>,
    cluster_name: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) scope: Option<Scope>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// False if the project wants no receipts.
    pub(crate) has_receipts: bool,
}

impl Destinations {
    /// The destination of a file, which need not exist. `given` is the cluster of `--for`.
    ///
    /// # Errors
    /// When the project file cannot be used, or has no cluster of the name in `--for`.
    pub(crate) fn of(&self, file: &Path, given: Option<&str>) -> Result<Destination, Error> {
        let file = self.absolute(file);
        let project = self.projects.of(file.parent().unwrap_or(Path::new("/")))?;
        let Some(project) = project else {
            return match given {
                Some(_) => Err(Error::Argument(
                    "--for names a cluster of .kubeseal.yaml, and there is no such file here; name a certificate with --cert"
                        .to_owned(),
                )),
                None => Ok(Destination { has_receipts: true, ..Destination::default() }),
            };
        };
        if let Some(name) = given.filter(|name| project.cluster(name).is_none()) {
            let known: Vec<&str> = project.cluster_names().collect();
            return Err(Error::Argument(format!(
                "--for {name:?}: {} has no such cluster; available: {}",
                project.name,
                known.join(", ")
            )));
        }
        Ok(Destination::of_project(&project, &file, given))
    }

    /// As [`absolute`], with each folder resolved once.
    fn absolute(&self, file: &Path) -> PathBuf {
        let (folder, name) = split(file);
        if let Some(resolved) = self.folders.borrow().get(folder) {
            return resolved.join(name);
        }
        let Ok(resolved) = fs::canonicalize(folder) else { return absolute(file) };
        let file = resolved.join(name);
        self.folders.borrow_mut().insert(folder.to_owned(), resolved);
        file
    }
}

impl Destination {
    fn of_project(project: &Arc<Project>, file: &Path, given: Option<&str>) -> Self {
        let rule = project.rule(file);
        let cluster_name = given.map(str::to_owned).or_else(|| rule?.cluster.clone());
        Self {
            cluster_name,
            namespace: rule.and_then(|rule| rule.namespace.clone()),
            scope: rule.and_then(|rule| rule.scope),
            annotations: rule.map(|rule| rule.annotations.clone()).unwrap_or_default(),
            labels: rule.map(|rule| rule.labels.clone()).unwrap_or_default(),
            has_receipts: project.has_receipts(),
            project: Some(Arc::clone(project)),
        }
    }

    /// The cluster with its name.
    pub(crate) fn cluster(&self) -> Option<(&str, &Cluster)> {
        let name = self.cluster_name.as_deref()?;
        Some((name, self.project.as_ref()?.cluster(name)?))
    }

    /// The certificate of the cluster as a value of `--cert`.
    pub(crate) fn certificate(&self) -> Option<String> {
        self.project.as_ref()?.certificate(self.cluster()?.1)
    }

    /// The connection to the cluster: what the flags do not say, the project file does.
    pub(crate) fn connection(&self, flags: &ClusterOptions) -> ClusterOptions {
        let mut options = flags.clone();
        if let Some((_, cluster)) = self.cluster() {
            options.context = options.context.or_else(|| cluster.context.clone());
            options.controller_name = options.controller_name.or_else(|| cluster.controller_name.clone());
            options.controller_namespace =
                options.controller_namespace.or_else(|| cluster.controller_namespace.clone());
        }
        options
    }

    /// An error about the cluster, with its name in the project file.
    pub(crate) fn of_cluster(&self, error: &Error) -> String {
        self.cluster().map_or_else(|| error.to_string(), |(name, _)| format!("cluster {name}: {error}"))
    }

    /// The project that the file belongs to.
    pub(crate) fn project(&self) -> Option<&Arc<Project>> {
        self.project.as_ref()
    }

    /// The path of the project file, for messages.
    pub(super) fn project_name(&self) -> &str {
        self.project.as_ref().map_or("", |project| &project.name)
    }
}

/// The path with its folder resolved, so that it can be compared with that of a project file.
pub(crate) fn absolute(file: &Path) -> PathBuf {
    let (folder, name) = split(file);
    fs::canonicalize(folder)
        .map(|folder| folder.join(name))
        .or_else(|_| std::path::absolute(file))
        .unwrap_or_else(|_| file.to_owned())
}

/// The folder and the name of a file.
fn split(file: &Path) -> (&Path, &OsStr) {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    (folder, file.file_name().unwrap_or_default())
}
