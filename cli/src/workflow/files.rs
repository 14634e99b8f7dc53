//! The files that paths stand for.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sealed_secrets_core::crypto::text_of_whole_file;
use sealed_secrets_core::manifest::SensitiveText;

use super::destination::absolute;
use super::parallel::map_in_parallel;
use super::values::is_stdin;
use crate::error::Error;
use crate::{git, io};

const DEFAULT_PATH: &str = ".";
const GIT_FOLDER: &str = ".git";

/// A file with its content.
#[derive(Clone)]
pub(crate) struct SourceFile {
    /// Its path, for messages and to find its project.
    pub(crate) path: String,
    pub(crate) content: Content,
    /// False if it was found in a folder.
    pub(crate) is_named: bool,
}

/// The text of a file, or the reason why it is not read.
#[derive(Clone)]
pub(crate) enum Content {
    Text(SensitiveText),
    Skipped(&'static str),
}

impl SourceFile {
    /// A file on disk whose content is not needed.
    pub(crate) fn of_disk(path: &str) -> Self {
        Self { path: path.to_owned(), content: Content::Skipped(""), is_named: true }
    }

    pub(crate) fn of_bytes(path: String, bytes: Vec<u8>) -> Self {
        Self { path, content: content(bytes), is_named: true }
    }

    /// Its path below the root of the work tree, for services that show findings in files; outside of one, as it was given.
    pub(crate) fn path_below_root(&self) -> String {
        let file = absolute(Path::new(&self.path));
        let root = file.ancestors().skip(1).find(|folder| folder.join(GIT_FOLDER).exists());
        root.and_then(|root| file.strip_prefix(root).ok())
            .map_or_else(|| self.path.clone(), |below| below.display().to_string())
    }

    pub(crate) fn without_content(&self) -> Self {
        Self { path: self.path.clone(), content: Content::Skipped(""), ..*self }
    }
}

fn content(bytes: Vec<u8>) -> Content {
    if u64::try_from(bytes.len()).is_ok_and(|length| length > io::MAX_FILE_SIZE) {
        return Content::Skipped("more than 8 MiB");
    }
    text_of_whole_file(bytes).map_or(Content::Skipped("neither UTF-8 nor UTF-16"), |text| {
        Content::Text(SensitiveText::of_file(text))
    })
}

/// True for the names of files that may be manifests.
pub(crate) fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// A file that a path stands for.
pub(crate) enum Listed {
    /// A file that was named or staged, and read at once.
    Read(SourceFile),
    /// A file of a folder. It is read where it is used, so that many are read and used at the same time.
    Found(PathBuf),
}

impl Listed {
    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Read(source) => Path::new(&source.path),
            Self::Found(path) => path,
        }
    }

    /// Its content; `None` if it was found in a folder, and is gone or no regular file.
    pub(crate) fn read(&self) -> Option<Cow<'_, SourceFile>> {
        match self {
            Self::Read(source) => Some(Cow::Borrowed(source)),
            Self::Found(path) => read_found(path).map(Cow::Owned),
        }
    }
}

/// Reads the files that the paths stand for, each once; without paths those of the current folder.
///
/// # Errors
/// When a path cannot be read.
pub(crate) fn files(paths: &[String]) -> Result<Vec<SourceFile>, Error> {
    let listed = listed(paths)?;
    let sources = map_in_parallel(&listed, |file| file.read().map(Cow::into_owned));
    Ok(sources.into_iter().flatten().collect())
}

/// Lists the files that the paths stand for, each once; without paths those of the current folder.
///
/// # Errors
/// When a path cannot be read.
pub(crate) fn listed(paths: &[String]) -> Result<Vec<Listed>, Error> {
    let default = [DEFAULT_PATH.to_owned()];
    let paths = if paths.is_empty() { &default[..] } else { paths };
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for path in paths {
        if is_stdin(path) {
            files.push(Listed::Read(SourceFile::of_bytes("-".to_owned(), io::read_stdin("manifests")?)));
            continue;
        }
        let failed = |cause| Error::File { operation: "open", path: path.clone(), cause };
        if fs::metadata(path).map_err(failed)?.is_dir() {
            let mut found = in_folder(Path::new(path))?;
            found.retain(|file| seen.insert(file.clone()));
            files.extend(found.into_iter().map(Listed::Found));
        } else if seen.insert(PathBuf::from(path)) {
            files.push(Listed::Read(SourceFile::of_bytes(path.clone(), io::read_beginning(path)?)));
        }
    }
    Ok(files)
}

/// Reads a file that was found in a folder; `None` if it is gone or no regular file.
fn read_found(file: &Path) -> Option<SourceFile> {
    let path = file.display().to_string();
    let metadata = fs::symlink_metadata(file).ok()?;
    if !metadata.is_file() {
        return None;
    }
    if metadata.len() > io::MAX_FILE_SIZE {
        let content = Content::Skipped("more than 8 MiB");
        return Some(SourceFile { path, content, is_named: false });
    }
    let bytes = fs::read(file).ok()?;
    Some(SourceFile { is_named: false, ..SourceFile::of_bytes(path, bytes) })
}

/// The manifests in a folder: those that Git tracks or does not ignore, else those that no .gitignore excludes.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = match of_git(folder) {
        Some(files) => files,
        None => of_walk(folder)?,
    };
    files.retain(|file| is_manifest(file));
    files.sort();
    let plain = |file: PathBuf| file.strip_prefix(DEFAULT_PATH).map(Path::to_owned).unwrap_or(file);
    Ok(files.into_iter().map(plain).collect())
}

fn of_git(folder: &Path) -> Option<Vec<PathBuf>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."];
    let output = git::command().arg("-C").arg(folder).args(arguments).output().ok()?;
    let listed = output.status.success().then_some(output.stdout)?;
    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Some(names.map(|name| folder.join(path_of(name))).collect())
}

/// A path as Git prints it.
#[cfg(unix)]
pub(crate) fn path_of(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}

/// A path as Git prints it.
#[cfg(not(unix))]
pub(crate) fn path_of(name: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(name).into_owned())
}

/// Refuses a .gitignore that is no regular file: the walk would wait for a named pipe.
fn expect_readable_ignores(folder: &Path) -> Result<(), Error> {
    let file = folder.join(".gitignore");
    if file.exists() { io::expect_regular(&file.display().to_string()) } else { Ok(()) }
}

/// The folder where a walk begins, and the wanted one as a path below it. In a work tree the walk begins at its root: a .gitignore
/// counts in all folders below it.
fn beginning_of_walk(folder: &Path) -> (PathBuf, PathBuf) {
    let resolved = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let root = resolved.ancestors().find(|above| above.join(GIT_FOLDER).exists()).map(Path::to_owned);
    root.map_or_else(|| (folder.to_owned(), folder.to_owned()), |root| (root, resolved))
}

fn of_walk(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let (beginning, wanted) = beginning_of_walk(folder);
    expect_readable_ignores(&beginning)?;
    let refused = Arc::new(OnceLock::new());
    let refusal = Arc::clone(&refused);
    let below = wanted.clone();
    let is_wanted = move |entry: &ignore::DirEntry| {
        let path = entry.path();
        if entry.file_name() == GIT_FOLDER || !(path.starts_with(&below) || below.starts_with(path)) {
            return false;
        }
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        let checked = if is_folder { expect_readable_ignores(path) } else { Ok(()) };
        // The first refusal is reported.
        checked.map_err(|error| drop(refusal.set(error))).is_ok()
    };
    let mut walk = ignore::WalkBuilder::new(&beginning);
    walk.standard_filters(false).git_ignore(true).require_git(false).follow_links(false);
    walk.filter_entry(is_wanted);
    let failed = |cause: ignore::Error| Error::File {
        operation: "open",
        path: folder.display().to_string(),
        cause: cause.into_io_error().unwrap_or_else(|| std::io::Error::other("the folder cannot be read")),
    };
    let entries: Vec<_> = walk.build().collect::<Result<_, _>>().map_err(failed)?;
    drop(walk);
    if let Some(error) = Arc::into_inner(refused).and_then(OnceLock::into_inner) {
        return Err(error);
    }
    Ok(entries
        .into_iter()
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .filter_map(|entry| Some(folder.join(entry.path().strip_prefix(&wanted).ok()?)))
        .collect())
}
