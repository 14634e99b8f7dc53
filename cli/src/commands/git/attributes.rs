//! The attributes of a clone: the files that its settings apply to.

use std::fs;
use std::path::{Path, PathBuf};

use super::clone;
use crate::error::{Error, FileProblem};
use crate::io;
use crate::project::display_path;

const LINES: [&str; 3] = [
    "*.yaml diff=kubeseal merge=kubeseal",
    "*.yml diff=kubeseal merge=kubeseal",
    "*.json diff=kubeseal merge=kubeseal",
];

/// Adds the lines that are missing.
///
/// # Errors
/// When the file cannot be read or written.
pub(super) fn install() -> Result<(), Error> {
    let file = path()?;
    let before = read(&file)?;
    let after = with_lines(&before);
    if after != before {
        let failed = |cause| Error::File { operation: "write", path: display_path(&file), cause };
        fs::create_dir_all(file.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        io::replace_public(&file.display().to_string(), after.as_bytes())?;
    }
    io::log(&format!("{}: diff=kubeseal merge=kubeseal for *.yaml, *.yml and *.json", display_path(&file)));
    Ok(())
}

/// Removes the lines, and the file if it has no others. Returns false if there are none.
///
/// # Errors
/// When the file cannot be read or written.
pub(super) fn uninstall() -> Result<bool, Error> {
    let file = path()?;
    let before = read(&file)?;
    let after = without_lines(&before);
    if after == before {
        return Ok(false);
    }
    if after.is_empty() {
        let failed = |cause| Error::File { operation: "remove", path: display_path(&file), cause };
        fs::remove_file(&file).map_err(failed)?;
    } else {
        io::replace_public(&file.display().to_string(), after.as_bytes())?;
    }
    io::log(&format!("{}: diff=kubeseal merge=kubeseal removed", display_path(&file)));
    Ok(true)
}

fn path() -> Result<PathBuf, Error> {
    clone::path("info/attributes")
}

fn read(file: &Path) -> Result<String, Error> {
    let bytes = io::read_if_found(&display_path(file))?.unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| FileProblem::NotUtf8.of(&display_path(file)))
}

fn is_own(line: &str) -> bool {
    LINES.contains(&line.trim_end())
}

fn with_lines(before: &str) -> String {
    let missing = LINES.into_iter().filter(|line| !before.lines().any(|found| found.trim_end() == *line));
    let mut after = before.to_owned();
    for line in missing {
        if !after.is_empty() && !after.ends_with('\n') {
            after.push('\n');
        }
        after.extend([line, "\n"]);
    }
    after
}

fn without_lines(before: &str) -> String {
    before.split_inclusive('\n').filter(|line| !is_own(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_once_and_removed_with_no_other() {
        let all = LINES.map(|line| format!("{line}\n")).concat();
        for before in ["", "*.png binary\n", "# x\n*.yaml text\n\n"] {
            let after = with_lines(before);
            assert_eq!(after, format!("{before}{all}"));
            assert_eq!(with_lines(&after), after);
            assert_eq!(without_lines(&after), before);
        }
        assert_eq!(with_lines("*.png binary"), format!("*.png binary\n{all}"));
        assert_eq!(without_lines(&format!("a\r\n{}\r\nb", LINES[0])), "a\r\nb");
    }
}
