//! The files that are about to be committed, as the index has them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;

use crate::error::Error;
use crate::git::{self, failed, not_started};
use crate::project::display_path;
use crate::workflow::{SourceFile, is_manifest, path_of};

/// A staged file.
struct Entry {
    path: PathBuf,
    object: String,
}

/// The files of the index.
pub(super) struct Index {
    /// The current folder, without links.
    current: PathBuf,
    /// Object of each file, by its absolute path.
    objects: BTreeMap<PathBuf, String>,
}

impl Index {
    /// Lists the files. Links, submodules and the sides of a conflict are left out.
    ///
    /// # Errors
    /// When Git fails, for example outside of a work tree.
    pub(super) fn read() -> Result<Self, Error> {
        let root = root()?;
        let current = std::env::current_dir().and_then(fs::canonicalize).unwrap_or_default();
        let listed = git::output(&["ls-files", "--stage", "--full-name", "-z", "--", ":/"])?;
        // Each is `MODE OBJECT STAGE`, a tab and the path.
        let object = |line: &[u8]| {
            let tab = line.iter().position(|byte| *byte == b'\t')?;
            let head = str::from_utf8(line.get(..tab)?).ok()?;
            let [mode, object, "0"] = head.split(' ').collect::<Vec<_>>()[..] else { return None };
            let path = root.join(path_of(line.get(tab + 1..)?));
            mode.starts_with("100").then(|| (path, object.to_owned()))
        };
        Ok(Self { current, objects: listed.split(|byte| *byte == 0).filter_map(object).collect() })
    }

    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.objects.contains_key(&self.plain(path))
    }

    pub(super) fn is_folder(&self, path: &Path) -> bool {
        let folder = self.plain(path);
        let mut below = self.objects.range(folder.clone()..).map(|(file, _)| file);
        below.find(|file| **file != folder).is_some_and(|file| file.starts_with(&folder))
    }

    /// The content of a file; `None` if there is none of this path.
    pub(super) fn read_file(&self, path: &Path) -> Option<Vec<u8>> {
        git::output(&["cat-file", "blob", self.objects.get(&self.plain(path))?]).ok()
    }

    /// An absolute path without `.` and `..`. Nothing of it needs to exist in the work tree.
    fn plain(&self, path: &Path) -> PathBuf {
        let mut plain = self.current.clone();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => {
                    plain.pop();
                }
                part => plain.push(part),
            }
        }
        plain
    }
}

/// The root of the work tree.
fn root() -> Result<PathBuf, Error> {
    let root = git::output(&["rev-parse", "--show-toplevel"])?;
    Ok(path_of(root.strip_suffix(b"\n").unwrap_or(&root)))
}

/// Reads the staged files at or below the paths.
///
/// # Errors
/// When Git fails, for example outside of a work tree.
pub(super) fn files(paths: &[String]) -> Result<Vec<SourceFile>, Error> {
    let root = root()?;
    let mut arguments = vec![
        "diff",
        "--cached",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        "--no-ext-diff",
        "--diff-filter=ACMT",
        "-z",
        "--",
    ];
    arguments.extend(paths.iter().map(String::as_str));
    let mut entries = entries(&git::output(&arguments)?);
    entries.retain(|entry| is_manifest(&entry.path));
    let contents = contents(&entries)?;
    let file = |(entry, content): (Entry, Vec<u8>)| {
        SourceFile::of_bytes(display_path(&root.join(entry.path)), content)
    };
    Ok(entries.into_iter().zip(contents).map(file).collect())
}

/// Parses `:MODE MODE OBJECT OBJECT STATUS`, NUL, path, NUL. Links and submodules are left out.
fn entries(raw: &[u8]) -> Vec<Entry> {
    let mut fields = raw.split(|byte| *byte == 0);
    let mut entries = Vec::new();
    while let (Some(head), Some(path)) = (fields.next(), fields.next()) {
        let head = String::from_utf8_lossy(head);
        let words: Vec<&str> = head.split(' ').collect();
        if let [_, mode, _, object, _] = words.as_slice()
            && mode.starts_with("100")
        {
            entries.push(Entry { path: path_of(path), object: (*object).to_owned() });
        }
    }
    entries
}

/// The contents of the objects, by one process for all.
fn contents(entries: &[Entry]) -> Result<Vec<Vec<u8>>, Error> {
    let mut command = git::command();
    command.args(["cat-file", "--batch"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|cause| not_started(&cause))?;
    let names: String = entries.iter().flat_map(|entry| [entry.object.as_str(), "\n"]).collect();
    let stdin = child.stdin.take();
    let writer = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(names.as_bytes())));
    let output = child.wait_with_output().map_err(|cause| not_started(&cause))?.stdout;
    drop(writer.join());
    let mut rest = output.as_slice();
    let mut contents = Vec::with_capacity(entries.len());
    for _ in entries {
        let (content, after) =
            next_object(rest).ok_or_else(|| failed("git cat-file: the output is cut short"))?;
        contents.push(content.to_vec());
        rest = after;
    }
    Ok(contents)
}

/// Splits `OBJECT TYPE SIZE`, a line break, the content and a line break.
fn next_object(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b'\n')?;
    let size = str::from_utf8(text.get(..end)?).ok()?.split(' ').nth(2)?.parse().ok()?;
    let (content, after) = text.get(end + 1..)?.split_at_checked(size)?;
    Some((content, after.get(1..)?))
}
