//! The licence texts that must accompany our programs.

use std::path::Path;

use sealed_secrets_tests::Result;

use crate::archive::Archive;
use crate::files::read;

/// Our own licence, that of the C library, and those of all crates (compared by `tests/tests/licenses.rs`).
pub(crate) const LICENSES: [&str; 3] =
    ["LICENSE", "deploy/licenses/LGPL-2.1.txt", "deploy/licenses/THIRD-PARTY.txt"];

/// Adds the licences, which are below `source`, to the folder `folder` of an archive: empty, or with a final slash.
pub(crate) fn with_licenses(mut archive: Archive, folder: &str, source: &Path) -> Result<Archive> {
    for license in LICENSES {
        archive = archive.with_file(&format!("{folder}{}", name(license)), read(&source.join(license))?);
    }
    Ok(archive)
}

/// The name of a licence file in an archive.
pub(crate) fn name(license: &str) -> &str {
    license.rsplit('/').next().unwrap_or(license)
}
