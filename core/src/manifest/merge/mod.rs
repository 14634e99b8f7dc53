//! Merges two changed versions of a file, SealedSecrets item by item and everything else line by line.
//!
//! An item that one side changed, or both equally, is taken; one that a side removed and the other left alone is removed; all else
//! is a conflict of that item. So that changes of neighbouring items are not a conflict for a merge by lines, all versions first get the
//! items of the result, and items become placeholders. Nothing is decrypted.

mod item;
mod lines;
mod order;
mod output;
mod plan;
mod versions;
mod view;

use std::collections::BTreeMap;

use item::Resolution;
use lines::Lines;
use output::{EDGE, Sides, Slots};
use plan::{MergedObject, merged_objects, prepared};
pub use versions::{Conflict, Markers, Merged, TextMerge, ThreeWay};
use view::{ObjectView, is_json, objects_of};

use super::content::{self, Content};
use super::texts::parse;

/// Merges three versions. `text_merge` merges texts by lines, and marks conflicts with `markers`. It gets the versions themselves if
/// one cannot be parsed, or the items cannot be merged safely.
///
/// # Errors
/// The error of `text_merge`.
pub fn merge<E>(
    versions: ThreeWay<&str>,
    markers: &Markers,
    mut text_merge: impl FnMut(ThreeWay<&str>) -> Result<TextMerge, E>,
) -> Result<Merged, E> {
    if let Some(merged) = merge_items(versions, markers, &mut text_merge)? {
        return Ok(merged);
    }
    let TextMerge { text, is_clean } = text_merge(versions)?;
    Ok(Merged { text, is_clean, conflicts: Vec::new() })
}

/// Merges item by item; `None` if that is not possible.
fn merge_items<E>(
    versions: ThreeWay<&str>,
    markers: &Markers,
    text_merge: &mut impl FnMut(ThreeWay<&str>) -> Result<TextMerge, E>,
) -> Result<Option<Merged>, E> {
    if versions.each().iter().any(|text| text.contains(EDGE)) {
        return Ok(None);
    }
    let Some(objects) = merged_objects(versions) else { return Ok(None) };
    let Some(ready) = Ready::of(versions, &objects) else { return Ok(None) };
    let slots = Slots::of(&objects);
    let merged = if let Some(lines) = ready.simple() {
        TextMerge { text: slots.placeholders(lines), is_clean: true }
    } else {
        let texts = ready.complete.as_ref().map(|lines| slots.placeholders(lines));
        let merged = text_merge(texts.as_ref().map(String::as_str))?;
        match ready.formatted(&texts, &objects).filter(|_| !merged.is_clean) {
            Some(text) => TextMerge { text, is_clean: true },
            None => merged,
        }
    };
    Ok(finished(&merged, &slots, &objects, markers))
}

fn finished(
    merged: &TextMerge,
    slots: &Slots<'_>,
    objects: &[MergedObject],
    markers: &Markers,
) -> Option<Merged> {
    let (text, conflicts) = slots.filled(&merged.text, markers, !merged.is_clean, Sides::Marked)?;
    if merged.is_clean {
        let (resolved, _) = slots.filled(&merged.text, markers, false, Sides::One)?;
        has_items(&resolved, objects).then_some(())?;
    }
    let is_clean = merged.is_clean && conflicts.is_empty();
    Some(Merged { text, is_clean, conflicts })
}

/// Returns true if the text has each object with its items, and with one side of each conflict.
fn has_items(text: &str, objects: &[MergedObject]) -> bool {
    let Some(found) = objects_of(text) else { return false };
    let found: Vec<BTreeMap<&String, _>> = found
        .iter()
        .map(|object| object.items.iter().map(|(key, state)| (key, state.value.as_deref())).collect())
        .collect();
    objects.iter().all(|object| {
        let one = |(key, resolution): (&String, &Resolution)| match resolution {
            Resolution::Item(state) => Some(state.clone()),
            Resolution::Absent => None,
            Resolution::Conflict if !object.is_lines => None,
            Resolution::Conflict => {
                let states = object.states(key);
                states.ours.or(states.theirs).cloned()
            }
        };
        let wanted: Vec<_> =
            object.resolutions.iter().filter_map(|entry| one(entry).map(|state| (entry.0, state))).collect();
        let wanted: BTreeMap<&String, _> =
            wanted.iter().map(|(key, state)| (*key, state.value.as_deref())).collect();
        found.contains(&wanted)
    })
}

/// The versions, ready for a merge by lines.
struct Ready {
    /// As they are.
    own: ThreeWay<Lines>,
    /// With the items of the result.
    complete: ThreeWay<Lines>,
    is_json: bool,
}

impl Ready {
    fn of(versions: ThreeWay<&str>, objects: &[MergedObject]) -> Option<Self> {
        type Select = fn(&ThreeWay<ObjectView>) -> &ObjectView;
        let lines = |text: &str, view: Select| {
            let wanted = objects.iter().enumerate().filter(|(_, object)| object.is_lines);
            let wanted: Vec<(usize, usize)> =
                wanted.map(|(number, object)| (view(&object.views).index, number)).collect();
            Lines::of(&prepared(text, objects, view)?, &wanted)
        };
        let own = ThreeWay {
            base: lines(versions.base, |views| &views.base)?,
            ours: lines(versions.ours, |views| &views.ours)?,
            theirs: lines(versions.theirs, |views| &views.theirs)?,
        };
        let complete = own.clone().try_map(|lines| completed(lines, objects, &own))?;
        let is_json = versions.each().iter().all(|text| is_json(text));
        Some(Self { own, complete, is_json })
    }

    /// Returns the side whose text is the result, if the other side changed items only.
    fn simple(&self) -> Option<&Lines> {
        let ThreeWay { base, ours, theirs } = &self.own;
        if theirs.has_same_text(base) || ours.has_same_text(theirs) {
            return Some(&self.complete.ours);
        }
        ours.has_same_text(base).then_some(&self.complete.theirs)
    }

    /// Returns the text of the side that changed more than the format of a JSON file, if only one did.
    fn formatted(&self, texts: &ThreeWay<String>, objects: &[MergedObject]) -> Option<String> {
        let is_conflict =
            |object: &MergedObject| object.resolutions.values().any(|fate| *fate == Resolution::Conflict);
        if !self.is_json || objects.iter().any(is_conflict) {
            return None;
        }
        let base = other_content(&texts.base)?;
        if other_content(&texts.ours)? == base {
            return Some(texts.theirs.clone());
        }
        (other_content(&texts.theirs)? == base).then(|| texts.ours.clone())
    }
}

/// Returns the content of a text without the items of its SealedSecrets.
fn other_content(text: &str) -> Option<Vec<Content>> {
    let (documents, _) = parse(text).ok()?;
    let mut all: Vec<Content> = documents.iter().map(|document| Content::of(&document.root)).collect();
    let path = ["spec", "encryptedData"].map(str::to_owned);
    for object in objects_of(text)? {
        // An object without items may lack the field.
        let _ = content::remove(&mut all, object.index, &path);
    }
    Some(all)
}

/// Inserts the items that a version lacks, and removes those that are not in the result. If there are none, one stays for the time
/// being.
fn completed(mut lines: Lines, objects: &[MergedObject], all: &ThreeWay<Lines>) -> Option<Lines> {
    for (number, object) in objects.iter().enumerate().filter(|(_, object)| object.is_lines) {
        let comment = |key: &str| {
            let found =
                [&all.ours, &all.theirs, &all.base].into_iter().find_map(|lines| lines.find(number, key));
            found.map_or_else(String::new, |item| item.comment.clone())
        };
        lines.insert_missing(number, &object.order, comment)?;
        let kept = object.order.first().filter(|_| object.is_emptied());
        let is_absent = |key: &str| object.resolutions.get(key) == Some(&Resolution::Absent);
        lines.remove(number, |key| is_absent(key) && kept.is_none_or(|kept| kept != key));
    }
    Some(lines)
}
