//! Reading of tar archives.

use std::collections::BTreeMap;
use std::io::Read;

use crate::error::{IoContext as _, Result};

/// The content of every file of a tar archive by its path. The path of a folder ends with a slash; its content is empty.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) for input that is not a tar archive, or truncated.
pub fn tar_files(tar: impl Read) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().when(reading)?;
    entries
        .map(|entry| {
            let mut entry = entry.when(reading)?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content).when(reading)?;
            let path = entry.path().when(reading)?.display().to_string();
            Ok((path, content))
        })
        .collect()
}

fn reading() -> String {
    "read a tar archive".into()
}
