//! New items of a file, and the edit that brings them into it.

use std::collections::BTreeMap;

use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::manifest::edit::{Change, apply};
use sealed_secrets_core::manifest::receipts::{ItemReceipt, write_receipts};
use sealed_secrets_core::receipt::Receipt;

use crate::error::{Error, FileError, FileProblem};
use crate::io;
use crate::workflow::{ATTEMPTS, BoundFile, BoundItems, BoundObject, STDIN, Wanted, bound_objects};

/// New items by their object, key and old ciphertext, so that a file may change until they are written.
#[derive(Default)]
pub(super) struct NewItems {
    items: BTreeMap<(String, String, String), NewItem>,
}

struct NewItem {
    ciphertext: String,
    /// `None` removes that of the old ciphertext.
    receipt: Option<Receipt>,
}

impl NewItems {
    /// Adds new ciphertexts of an object. `key` is the key of their receipts, if they have any.
    pub(super) fn add(
        &mut self,
        bound: &BoundItems,
        new: &BTreeMap<String, String>,
        key: Option<&Fingerprint>,
    ) {
        let binding = &bound.binding;
        for item in &bound.items {
            let (Some(old), Some(ciphertext)) = (&item.ciphertext, new.get(&item.key)) else { continue };
            let receipt = key.map(|key| binding.receipt(key, ciphertext));
            let place = (binding.describe(), item.key.clone(), old.clone());
            self.items.insert(place, NewItem { ciphertext: ciphertext.clone(), receipt });
        }
    }

    /// Replaces old items in a text.
    fn edited(&self, file: &str, text: &str, objects: &[BoundObject]) -> Result<String, Error> {
        let (mut changes, mut receipts) = (Vec::new(), Vec::new());
        for object in objects {
            let Ok(BoundItems { binding, items, .. }) = &object.content else { continue };
            for item in items {
                let place =
                    (binding.describe(), item.key.clone(), item.ciphertext.clone().unwrap_or_default());
                let Some(new) = self.items.get(&place) else { continue };
                let path = ["spec", "encryptedData", &item.key].map(str::to_owned).to_vec();
                changes.push(Change { object: object.index, path, value: new.ciphertext.clone() });
                receipts.push(ItemReceipt {
                    object: object.index,
                    key: item.key.clone(),
                    receipt: new.receipt.clone(),
                });
            }
        }
        let edited = apply(text, &changes).and_then(|text| write_receipts(&text, &receipts));
        edited.map_err(|error| FileError::of_edit(file, error))
    }
}

/// Checks that the file can be edited in place.
///
/// # Errors
/// When the file cannot be edited in place.
pub(super) fn is_writable(file: &BoundFile) -> Result<(), Error> {
    if file.path == STDIN { Ok(()) } else { io::read_editable(&file.path).map(drop) }
}

/// Brings new items into the file. If it has changed, those whose old ciphertext is still there. Stdin is written to stdout.
///
/// # Errors
/// When the file cannot be read, edited or written.
pub(super) fn write(file: &BoundFile, wanted: &Wanted<'_>, new: &NewItems) -> Result<(), Error> {
    if let Some(text) = &file.stdin {
        let edited = new.edited(&file.path, text, &file.objects)?;
        return io::write(None, edited.as_bytes());
    }
    for _ in 0..ATTEMPTS {
        let before = io::read_editable(&file.path)?;
        let objects = bound_objects(&file.path, &before, wanted, &file.destination)?;
        let after = new.edited(&file.path, &before, &objects)?;
        if after == *before || io::replace_if_unchanged(&file.path, &before, &after)? {
            return Ok(());
        }
    }
    Err(FileProblem::Restless.of(&file.path))
}
