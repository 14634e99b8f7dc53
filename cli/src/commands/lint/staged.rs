//! The files that are about to be committed, as the index has them.

use std::io::Write as _;
use std::process::Stdio;

use crate::error::Error;
use crate::git::{self, failed, not_started};
use crate::project::display_path;
use crate::workflow::{SourceFile, is_manifest, path_of};

/// A staged file.
struct Entry {
    path: std::path::PathBuf,
    object: String,
}

/// Reads the staged files at or below the paths.
///
/// # Errors
/// When Git fails, for example outside of a work tree.
pub(super) fn files(paths: &[String]) -> Result<Vec<SourceFile>, Error> {
    let root = git::output(&["rev-parse", "--show-toplevel"])?;
    let root = path_of(root.strip_suffix(b"\n").unwrap_or(&root));
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
