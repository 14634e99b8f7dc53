//! `git merge` is the merge driver: it merges SealedSecrets item by item.

use clap::Args;
use sealed_secrets_core::manifest::merge::{Markers, Merged, ThreeWay, merge};
use sealed_secrets_core::names::shown_key;

use crate::error::Error;
use crate::workflow::{merge_bytes, merge_texts};
use crate::{git, interrupt, io};

/// Characters of a conflict marker, unless Git says another number.
const MARKER_SIZE: usize = 7;

/// Merge two versions of a file item by item, for git merge
#[derive(Debug, Args)]
#[command(
    long_about = "Merge two versions of a file item by item; the result replaces OURS. An item that one side changed is taken, one that one side\n\
                  removed is removed, and only an item that both sides changed is a conflict, with exit code 1. Nothing is decrypted. Other text is\n\
                  merged by git merge-file, also that of files without SealedSecrets. Git runs this after `kubeseal git install`."
)]
pub(crate) struct Merge {
    /// The common ancestor, %O
    #[arg(value_name = "BASE", allow_hyphen_values = true)]
    base: String,
    /// Our version, %A; the result is written here
    #[arg(value_name = "OURS", allow_hyphen_values = true)]
    ours: String,
    /// Their version, %B
    #[arg(value_name = "THEIRS", allow_hyphen_values = true)]
    theirs: String,
    /// Characters of a conflict marker, %L
    #[arg(value_name = "SIZE", allow_hyphen_values = true)]
    marker_size: Option<String>,
    /// The path of the file in the repository, for messages, %P
    #[arg(value_name = "PATH", allow_hyphen_values = true)]
    path: Option<String>,
}

impl Merge {
    /// Merges the versions, and writes the result to the file of ours.
    ///
    /// # Errors
    /// When there are conflicts, or a file cannot be read or written.
    pub(super) fn run(&self) -> Result<(), Error> {
        interrupt::handle()?;
        let read = |file: &String| io::read_file(file);
        let (base, ours, theirs) = (read(&self.base)?, read(&self.ours)?, read(&self.theirs)?);
        let (bytes, is_clean) = self
            .merged(ThreeWay { base: &base, ours: &ours, theirs: &theirs })
            .map_err(|error| Error::Git(format!("{}: {error}; our version stays", self.path())))?;
        if bytes != ours {
            io::write(Some(&self.ours), &bytes)?;
        }
        if is_clean {
            Ok(())
        } else {
            Err(Error::Git(format!("{}: resolve the conflicts that are marked", self.path())))
        }
    }

    /// Returns the result, and true if there is no conflict.
    fn merged(&self, versions: ThreeWay<&[u8]>) -> Result<(Vec<u8>, bool), Error> {
        let ThreeWay { base, ours, theirs } = versions;
        match (str::from_utf8(base), str::from_utf8(ours), str::from_utf8(theirs)) {
            (Ok(base), Ok(ours), Ok(theirs)) => {
                let merged = self.merged_items(ThreeWay { base, ours, theirs })?;
                Ok((merged.text.into_bytes(), merged.is_clean))
            }
            _ => merge_bytes(versions, self.marker_size()),
        }
    }

    fn merged_items(&self, versions: ThreeWay<&str>) -> Result<Merged, Error> {
        let marker_size = self.marker_size();
        let style = git::run(&["config", "--get", "merge.conflictStyle"])?;
        let has_base = String::from_utf8_lossy(&style.stdout).contains("diff3");
        let markers = Markers { size: marker_size, has_base };
        let merged = merge(versions, &markers, |texts| merge_texts(texts, marker_size))?;
        for conflict in &merged.conflicts {
            io::log(&format!(
                "{}:{}: {}: both sides changed this item",
                self.path(),
                conflict.line,
                shown_key(&conflict.key)
            ));
        }
        Ok(merged)
    }

    fn marker_size(&self) -> usize {
        self.marker_size.as_deref().and_then(|size| size.parse().ok()).unwrap_or(MARKER_SIZE)
    }

    fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.ours)
    }
}
