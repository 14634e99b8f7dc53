//! Files that hold SealedSecrets, for commands that only read them.

use std::collections::BTreeSet;

use sealed_secrets_core::manifest::{Manifest, mentions_kind};

use super::files::{Content, SourceFile, files};
use crate::error::{Error, FileError, FileProblem};
use crate::io;

/// A file with at least one SealedSecret.
pub(crate) struct SealedFile {
    pub(crate) path: String,
    pub(crate) manifest: Manifest,
}

/// Reads the files with SealedSecrets that the paths stand for, each once. The second result is the failure of the run if some could
/// not be read: the others are returned all the same, and each problem is reported.
///
/// # Errors
/// When a path does not exist or cannot be read.
pub(crate) fn files_with_sealed_secrets(paths: &[String]) -> Result<(Vec<SealedFile>, Option<Error>), Error> {
    let mut seen = BTreeSet::new();
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let sources = files(std::slice::from_ref(path))?;
        let mut is_empty = true;
        for source in sources {
            let path = source.path.clone();
            match sealed_file(source) {
                Ok(None) => continue,
                Ok(Some(file)) if seen.insert(path) => found.push(file),
                Ok(Some(_)) => {}
                Err(problem) => problems.push(problem),
            }
            is_empty = false;
        }
        if is_empty {
            problems.push(FileProblem::EmptyFolder("SealedSecret").of(path));
        }
    }
    Ok((found, failure(problems)))
}

/// `None` for a file that was found in a folder and holds none.
fn sealed_file(source: SourceFile) -> Result<Option<SealedFile>, Error> {
    let SourceFile { path, content, is_named, .. } = source;
    let text = match content {
        Content::Text(text) => text,
        Content::Skipped(reason) if is_named => return Err(FileProblem::Skipped(reason).of(&path)),
        Content::Skipped(_) => return Ok(None),
    };
    let manifest = match Manifest::parse(&text) {
        Ok(manifest) => manifest,
        Err(error) if is_named || mentions_kind(&text, &["SealedSecret"]) => {
            return Err(FileError::of_manifest(&path, error));
        }
        Err(_) => return Ok(None),
    };
    if !manifest.sealed_secrets().is_empty() {
        return Ok(Some(SealedFile { path, manifest }));
    }
    match manifest.plain_secret_line() {
        _ if !is_named => Ok(None),
        Some(line) => Err(FileProblem::PlainSecret.at(&path, line)),
        None => Err(FileProblem::NoSealedSecret.of(&path)),
    }
}

/// One error for all problems of a run. If there are several, each is logged before.
pub(crate) fn failure(mut problems: Vec<Error>) -> Option<Error> {
    let last = problems.pop()?;
    if problems.is_empty() {
        return Some(last);
    }
    let count = problems.len() + 1;
    problems.iter().chain([&last]).for_each(|problem| io::log(&format!("error: {problem}")));
    Some(Error::Value(format!("{count} problems")))
}
