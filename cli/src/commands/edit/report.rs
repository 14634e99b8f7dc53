//! The report of an edit: the items that differ.

use std::collections::BTreeMap;

use sealed_secrets_core::manifest::Manifest;
use sealed_secrets_core::names::shown_key;

use crate::error::Error;
use crate::io;
use crate::workflow::{parse, shown_object};

/// Ciphertext and line of each item, by object and key.
type Items = BTreeMap<(String, String), (Option<String>, usize)>;

/// Reports the items that differ, one line each, or that the file was edited. `sealed` says how an item was sealed, if it was.
///
/// # Errors
/// When one of the texts cannot be parsed.
pub(super) fn report(
    file: &str,
    before: &str,
    after: &str,
    sealed: impl Fn(&str, &str) -> Option<(String, String)>,
) -> Result<(), Error> {
    let (before, after) = (items(&parse(file, before)?), items(&parse(file, after)?));
    let mut lines = Vec::new();
    for ((object, key), (ciphertext, line)) in &after {
        let done = match before.get(&(object.clone(), key.clone())) {
            Some((old, _)) if old == ciphertext => continue,
            Some(_) => "replaced in",
            None => "added to",
        };
        let (place, by) = sealed(object, key)
            .map_or_else(|| (object.clone(), String::new()), |(place, by)| (place, format!(", {by}")));
        lines.push((*line, format!("{file}:{line}: {} {done} {place}{by}", shown_key(key))));
    }
    lines.sort();
    let removed = before.iter().filter(|(item, _)| !after.contains_key(*item));
    lines.extend(removed.map(|((object, key), (_, line))| {
        (*line, format!("{file}:{line}: {} removed from {object}", shown_key(key)))
    }));
    if lines.is_empty() {
        io::log(&format!("{file}: edited"));
    }
    for (_, line) in &lines {
        io::log(line);
    }
    Ok(())
}

fn items(manifest: &Manifest) -> Items {
    let mut items = Items::new();
    for object in manifest.sealed_secrets() {
        let name = shown_object(&object);
        items.extend(
            object.items().into_iter().map(|item| ((name.clone(), item.key), (item.ciphertext, item.line))),
        );
    }
    items
}
