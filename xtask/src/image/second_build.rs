//! The proof that an image depends on its sources only.

use sealed_secrets_tests::{Error, Result};

use super::{make, sources};
use crate::files::cannot;

/// Builds the sources of this folder in another one, from nothing, and compares the digests.
///
/// # Errors
/// [`Error::Invalid`] with both digests when they differ.
pub(crate) async fn compare(digest: &str) -> Result<()> {
    let folder = tempfile::tempdir_in(super::program::target_folder()).map_err(cannot("create a folder"))?;
    sources::copy_to(folder.path()).await?;
    let second = make(folder.path(), &folder.path().join("target")).await?.digest;
    if second == digest {
        return Ok(());
    }
    Err(Error::Invalid(format!("the digests differ: first {digest}, second {second}")))
}
