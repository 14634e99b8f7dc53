//! The objects that all versions have, and the fates of their items.

use std::collections::BTreeMap;

use super::super::edit::{Change, apply};
use super::super::receipts::{ItemReceipt, write_receipts};
use super::super::remove::{Removal, remove};
use super::item::{ItemState, Moved, Resolution, resolve};
use super::order::union;
use super::versions::ThreeWay;
use super::view::{ObjectView, Style, objects_of};

/// A SealedSecret that all versions have.
pub(super) struct MergedObject {
    pub(super) views: ThreeWay<ObjectView>,
    /// All keys of all versions.
    pub(super) order: Vec<String>,
    pub(super) resolutions: BTreeMap<String, Resolution>,
    /// True if each version writes its items in lines of their own, or has none.
    pub(super) is_lines: bool,
}

/// Reads the versions; `None` if one cannot be parsed, or they have no SealedSecret with items in common.
pub(super) fn merged_objects(versions: ThreeWay<&str>) -> Option<Vec<MergedObject>> {
    let views = versions.try_map(objects_of)?;
    let objects: Vec<MergedObject> = common(&views).into_iter().map(MergedObject::of).collect();
    objects.iter().any(|object| !object.order.is_empty()).then_some(objects)
}

/// Returns the objects that all versions have: the only one of each, or those of the same name.
fn common(views: &ThreeWay<Vec<ObjectView>>) -> Vec<ThreeWay<ObjectView>> {
    if let [[base], [ours], [theirs]] = views.each().map(Vec::as_slice) {
        return vec![ThreeWay { base: base.clone(), ours: ours.clone(), theirs: theirs.clone() }];
    }
    let named = |views: &Vec<ObjectView>, wanted: &ObjectView| {
        let mut same = views.iter().filter(|view| view.identity == wanted.identity);
        same.next().filter(|_| same.next().is_none()).cloned()
    };
    let of = |object: &ObjectView| views.as_ref().try_map(|views| named(views, object));
    views.ours.iter().filter_map(of).collect()
}

impl MergedObject {
    fn of(views: ThreeWay<ObjectView>) -> Self {
        let order = union(&views.base.order, &views.ours.order, &views.theirs.order);
        let moved = Moved {
            ours: views.ours.place != views.base.place,
            theirs: views.theirs.place != views.base.place,
        };
        let fate = |key: &String| (key.clone(), resolve(&states(&views, key), moved));
        let resolutions = order.iter().map(fate).collect();
        let is_lines = views.each().iter().all(|view| view.style != Style::Other);
        Self { views, order, resolutions, is_lines }
    }

    /// Returns an item in all versions.
    pub(super) fn states(&self, key: &str) -> ThreeWay<Option<&ItemState>> {
        states(&self.views, key)
    }

    /// Returns the items of the result, conflicts aside.
    pub(super) fn items(&self) -> impl Iterator<Item = (&String, &ItemState)> {
        self.resolutions.iter().filter_map(|(key, resolution)| match resolution {
            Resolution::Item(state) => Some((key, state)),
            Resolution::Absent | Resolution::Conflict => None,
        })
    }

    /// Returns true if the result has no items.
    pub(super) fn is_emptied(&self) -> bool {
        self.resolutions.values().all(|resolution| *resolution == Resolution::Absent)
    }
}

fn states<'v>(views: &'v ThreeWay<ObjectView>, key: &str) -> ThreeWay<Option<&'v ItemState>> {
    let of = |view: &'v ObjectView| view.items.get(key);
    ThreeWay { base: of(&views.base), ours: of(&views.ours), theirs: of(&views.theirs) }
}

/// Prepares a version: items without lines of their own become those of the result, conflicts aside, and objects without items get
/// one if another version has some. `view` selects the version. `None` if the text cannot be edited so.
pub(super) fn prepared(
    text: &str,
    objects: &[MergedObject],
    view: impl Fn(&ThreeWay<ObjectView>) -> &ObjectView,
) -> Option<String> {
    let (mut changes, mut removals, mut receipts) = (Vec::new(), Vec::new(), Vec::new());
    for merged in objects {
        let own = view(&merged.views);
        let path = |key: &str| ["spec", "encryptedData", key].map(str::to_owned).to_vec();
        let change = |key: &str, value: String| Change { object: own.index, path: path(key), value };
        if merged.is_lines {
            let first = merged.order.first().filter(|_| own.style == Style::Empty);
            changes.extend(first.map(|key| change(key, "x".to_owned())));
            continue;
        }
        for (key, state) in merged.items() {
            let value = state.value.as_ref()?;
            if own.items.get(key).and_then(|own| own.value.as_ref()) != Some(value) {
                changes.push(change(key, value.clone()));
                receipts.push(ItemReceipt { object: own.index, key: key.clone(), receipt: None });
            }
        }
        let absent = own.order.iter().filter(|key| merged.resolutions.get(*key) == Some(&Resolution::Absent));
        removals.extend(absent.map(|key| Removal { object: own.index, path: path(key) }));
    }
    let text = write_receipts(&apply(text, &changes).ok()?, &receipts).ok()?;
    if removals.is_empty() { Some(text) } else { remove(&text, &removals).ok() }
}
