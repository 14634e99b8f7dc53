//! Which format, and where to.

use std::path::Path;

use sealed_secrets_core::manifest::Format;

use crate::error::Error;
use crate::flags::Flags;

/// YAML for an output file that is named so, else what `-o` says.
///
/// # Errors
/// When `-o` names no format.
pub(crate) fn format(flags: &Flags) -> Result<Format, Error> {
    let extension = file(flags).and_then(|path| Path::new(path).extension()?.to_str());
    if matches!(extension, Some("yaml" | "yml")) {
        return Ok(Format::Yaml);
    }
    Ok(flags.text("format").unwrap_or_default().parse()?)
}

/// The file of `-w`.
pub(crate) fn file(flags: &Flags) -> Option<&str> {
    flags.text("sealed-secret-file")
}
