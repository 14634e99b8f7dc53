//! The Helm chart as a package.

use std::fs;
use std::path::{Path, PathBuf};

use sealed_secrets_tests::{Error, Result, workspace};

use super::artefact::Artefact;
use crate::archive::Archive;
use crate::files::{cannot, read, read_text};

const CHART: &str = "sealed-secrets";

/// The package that `helm package` makes, without times: every file that is not hidden, under the name of the chart.
pub(super) fn package() -> Result<Artefact> {
    let folder = workspace::root().join("deploy/helm").join(CHART);
    let version = version(&read_text(&folder.join("Chart.yaml"))?)?;
    let mut archive = Archive::default();
    for file in files(&folder)? {
        let inside = file.strip_prefix(&folder).unwrap_or(&file);
        archive = archive.with_file(&format!("{CHART}/{}", inside.display()), read(&file)?);
    }
    Ok(Artefact::new(format!("{CHART}-{version}.tgz"), archive.tar_gz()?))
}

fn version(chart: &str) -> Result<String> {
    let version = chart.lines().find_map(|line| line.strip_prefix("version:"));
    let version = version.map(|text| text.trim().trim_matches('"').to_owned());
    version.ok_or_else(|| Error::Invalid(format!("deploy/helm/{CHART}/Chart.yaml has no version")))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || cannot(format!("read {}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else if !is_hidden {
            files.push(path);
        }
    }
    Ok(files)
}
