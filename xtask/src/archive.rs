//! Reproducible archives: no times, no users, a fixed order.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use sealed_secrets_tests::{Result, hex};
use sha2::{Digest, Sha256};

use crate::files::cannot;

const EXECUTABLE: u32 = 0o755;
const PLAIN: u32 = 0o644;
/// The number for "unknown" in the header of gzip.
const NO_OPERATING_SYSTEM: u8 = 255;

/// Files by their path, relative and with `/`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Archive(BTreeMap<String, (u32, Vec<u8>)>);

impl Archive {
    /// Adds a file that everybody may read.
    pub(crate) fn with_file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.to_owned(), (PLAIN, content.into()));
        self
    }

    /// Adds a file that everybody may read and execute.
    pub(crate) fn with_program(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.to_owned(), (EXECUTABLE, content.into()));
        self
    }

    /// The archive as tar, owned by root, with an entry for every folder.
    pub(crate) fn tar(&self) -> Result<Vec<u8>> {
        self.try_tar().map_err(cannot("write a tar archive"))
    }

    /// The tar archive, compressed with gzip.
    pub(crate) fn tar_gz(&self) -> Result<Vec<u8>> {
        gzip(&self.tar()?)
    }

    fn try_tar(&self) -> io::Result<Vec<u8>> {
        let mut builder = tar::Builder::new(Vec::new());
        for folder in self.folders() {
            append(&mut builder, tar::EntryType::Directory, &format!("{folder}/"), EXECUTABLE, &[])?;
        }
        for (path, (mode, content)) in &self.0 {
            append(&mut builder, tar::EntryType::Regular, path, *mode, content)?;
        }
        builder.into_inner()
    }

    /// Every folder that a path goes through, the outer ones first.
    fn folders(&self) -> BTreeSet<&str> {
        self.0
            .keys()
            .flat_map(|path| path.match_indices('/').filter_map(|(end, _)| path.get(..end)))
            .collect()
    }
}

fn append(
    builder: &mut tar::Builder<Vec<u8>>,
    kind: tar::EntryType,
    path: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, path, content)
}

/// `bytes` compressed, without a name or a time in the header.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let builder = GzBuilder::new().mtime(0).operating_system(NO_OPERATING_SYSTEM);
    let mut encoder = builder.write(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(cannot("compress an archive"))
}

/// SHA-256 in lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_order_in_which_files_are_added_does_not_show() {
        let one = Archive::default().with_file("a/b", "1").with_program("c", "2");
        let other = Archive::default().with_program("c", "2").with_file("a/b", "1");
        assert_eq!(one.tar_gz().unwrap(), other.tar_gz().unwrap());
    }

    #[test]
    fn folders_precede_their_content_and_belong_to_root() {
        let tar = Archive::default().with_program("usr/local/bin/x", "program").tar().unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
            assert_eq!(header.mode().unwrap(), 0o755);
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            seen.push((entry.path().unwrap().to_string_lossy().into_owned(), content));
        }
        let expected =
            [("usr/", ""), ("usr/local/", ""), ("usr/local/bin/", ""), ("usr/local/bin/x", "program")];
        assert_eq!(seen, expected.map(|(path, content)| (path.to_owned(), content.to_owned())));
    }

    #[test]
    fn a_digest_is_the_one_that_everybody_computes() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
