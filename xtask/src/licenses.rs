//! The texts that must come with our programs wherever they go.

use std::path::Path;

use sealed_secrets_tests::Result;

use crate::archive::Archive;
use crate::files::read;

/// Our own licence, that of the C library, and those of every crate (a test in `tests/tests/licenses.rs` compares).
pub(crate) const LICENSES: [&str; 3] =
    ["LICENSE", "deploy/licenses/LGPL-2.1.txt", "deploy/licenses/THIRD-PARTY.txt"];

/// Adds the licences, which are below `source`, to the folder `folder` of an archive: empty, or with a slash at its end.
pub(crate) fn with_licenses(mut archive: Archive, folder: &str, source: &Path) -> Result<Archive> {
    for license in LICENSES {
        archive = archive.with_file(&format!("{folder}{}", name(license)), read(&source.join(license))?);
    }
    Ok(archive)
}

/// What a licence is called in an archive.
pub(crate) fn name(license: &str) -> &str {
    license.rsplit('/').next().unwrap_or(license)
}
