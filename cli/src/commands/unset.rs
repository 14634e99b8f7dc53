//! `unset` removes an item.

use std::io::ErrorKind;

use clap::Args;
use sealed_secrets_core::manifest::{Removal, remove};
use sealed_secrets_core::names::shown_key;

use super::set::files_and_key;
use crate::error::{Error, FileError, FileProblem};
use crate::io::Input;
use crate::workflow::{Edited, STDIN, given, parse, select, shown_object, write_edited};
use crate::{interrupt, io};

/// Remove an item from a SealedSecret file; the rest of the file is unchanged
#[derive(Debug, Args)]
#[command(
    override_usage = "kubeseal unset [OPTIONS] <FILE>... <KEY>",
    long_about = "Remove an item from a SealedSecret file; the rest of the file is unchanged, also comments above the item.\n\
                  Needs neither certificate nor cluster. If one of several files lacks the item, none is changed.",
    after_help = "Example:\n  kubeseal unset deploy/*/db.yaml password"
)]
pub(crate) struct Unset {
    /// The files (`-`: from stdin to stdout), and then the key of the item
    #[arg(required = true, num_args = 1.., value_names = ["FILE", "KEY"], value_hint = clap::ValueHint::FilePath)]
    words: Vec<String>,
    /// The SealedSecret, where a file holds several
    #[arg(long, value_name = "[NAMESPACE/]NAME", env = "SEALED_SECRETS_NAME", hide_env_values = true)]
    name: Option<String>,
}

impl Unset {
    /// Removes the item from each file.
    ///
    /// # Errors
    /// When a file cannot be used or lacks the item; then no file is changed.
    pub(super) fn run(&self) -> Result<(), Error> {
        let (files, key) = files_and_key(&self.words, "unset")?;
        if files.iter().filter(|file| *file == STDIN).count() > 1 {
            return Err(Error::Argument("stdin can be read once, as one FILE".to_owned()));
        }
        if let Some(file) = files.iter().find(|file| *file != STDIN && is_absent(file)) {
            return Err(FileProblem::NoSuchFileOrKey.of(file));
        }
        interrupt::handle()?;
        write_edited(files, |file| self.edited(file, key))
    }

    fn edited(&self, file: &str, key: &str) -> Result<Edited, Error> {
        let before = if file == STDIN { Input::read(None)?.text } else { io::read_editable(file)? };
        let manifest = parse(file, &before)?;
        let object = select(file, &manifest, given(self.name.as_ref()))?;
        let name = shown_object(&object);
        let items = object.items();
        let Some(item) = items.iter().find(|item| item.key == key) else {
            let keys =
                items.iter().filter(|item| !item.is_templated).map(|item| shown_key(&item.key).to_owned());
            return Err(FileProblem::NoItem { object: name, keys: keys.collect() }.at(file, object.line()));
        };
        let path = ["spec", "encryptedData", key].map(str::to_owned).to_vec();
        let after = remove(&before, &[Removal { object: object.index, path }]);
        let after = after.map_err(|error| FileError::of_edit(file, error))?;
        Ok(Edited { before, after, report: format!(":{}: {key} removed from {name}", item.line) })
    }
}

fn is_absent(file: &str) -> bool {
    std::fs::metadata(file).is_err_and(|cause| cause.kind() == ErrorKind::NotFound)
}
