//! Pages in docs with text by people and sections by this program.

use std::fs;

use sealed_secrets_tests::{Error, Result, workspace};

/// Replaces the text between the markers of the subject on the page `name` by `section`.
///
/// # Errors
/// When the page does not exist or has no such markers.
pub(crate) fn replace(name: &str, subject: &str, section: &str) -> Result<()> {
    let file = workspace::root().join("docs").join(name);
    let io = |action: &str| {
        let action = format!("{action} {}", file.display());
        |source| Error::Io { action, source }
    };
    let page = fs::read_to_string(&file).map_err(io("read"))?;
    let page = replaced(&page, subject, section)
        .ok_or_else(|| Error::Invalid(format!("{} has no marks for {subject}", file.display())))?;
    fs::write(&file, page).map_err(io("write"))
}

fn replaced(page: &str, subject: &str, section: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {subject} -->\n"), format!("<!-- end of {subject} -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{section}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_between_the_marks_changes() {
        let page = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n";
        let new = replaced(page, "x", "new").unwrap();
        assert_eq!(new, "a\n<!-- x -->\n\nnew\n<!-- end of x -->\nb\n");
        assert_eq!(replaced(&new, "x", "new"), Some(new.clone()));
        assert_eq!(replaced(page, "y", "new"), None);
    }
}
