//! Conversion of problems in files to errors.

use sealed_secrets_core::manifest::edit::EditError;
use sealed_secrets_core::manifest::{ManifestError, ReadError};

use super::{Error, FileError, FileProblem};

impl FileProblem {
    /// Adds the file.
    pub(crate) fn of(self, file: &str) -> Error {
        FileError { file: file.to_owned(), line: None, cause: self }.into()
    }

    /// Adds file and line.
    pub(crate) fn at(self, file: &str, line: usize) -> Error {
        FileError { file: file.to_owned(), line: Some(line), cause: self }.into()
    }
}

impl Error {
    /// The problem without its file and line, for reports that have a place of their own for these.
    pub(crate) fn problem(&self) -> String {
        match self {
            Self::InFile(error) => error.cause.to_string(),
            other => other.to_string(),
        }
    }
}

impl FileError {
    /// A document that cannot be parsed.
    pub(crate) fn of_manifest(file: &str, error: ManifestError) -> Error {
        FileProblem::Unreadable(error.cause).at(file, error.line)
    }

    /// A field with a value of the wrong type.
    pub(crate) fn of_field(file: &str, error: &ReadError) -> Error {
        FileProblem::Field(format!("{}{}", error.field, error.cause)).at(file, error.line)
    }

    /// An edit that is not possible.
    pub(crate) fn of_edit(file: &str, error: EditError) -> Error {
        match error {
            EditError::Unreadable(error) => Self::of_manifest(file, error),
            EditError::Shared { line, .. } | EditError::Unexpected { line, .. } => {
                let text = error.to_string();
                let text = text.strip_prefix(&format!("line {line}: ")).unwrap_or(&text);
                FileProblem::Edit(text.to_owned()).at(file, line)
            }
            EditError::NoObject(_) | EditError::Unsafe => FileProblem::Edit(error.to_string()).of(file),
        }
    }
}
