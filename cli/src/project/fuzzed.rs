//! Body of the fuzz target `project`.

use std::path::Path;

use super::content::Content;

/// Parses any bytes as a project file. It is refused with a line of the text, or its rules judge paths.
///
/// # Panics
/// If the line does not exist.
pub fn project(input: &[u8]) {
    match Content::parse(input) {
        Ok(content) => {
            for rule in &content.rules {
                for path in ["db.yaml", "deploy/prod/db.yaml", ""] {
                    let _ = rule.matches(Path::new(path));
                }
            }
        }
        Err((line, cause)) => {
            // For YAML a carriage return alone ends a line, too.
            let lines = input.split(|byte| matches!(byte, b'\n' | b'\r')).count();
            assert!((1..=lines).contains(&line), "line {line} of {lines}: {cause}");
        }
    }
}
