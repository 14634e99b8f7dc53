//! An item of one version, and its fate in the merge.

use super::versions::ThreeWay;

/// An item as a version writes it.
#[derive(Clone, Debug)]
pub(super) struct ItemState {
    /// Text from the start of the key to the end of the value.
    pub(super) body: String,
    /// Text of the receipt and of the space before it; empty without one.
    pub(super) receipt: String,
    /// The value as a reader gets it; `None` if it is not a scalar.
    pub(super) value: Option<String>,
}

impl PartialEq for ItemState {
    fn eq(&self, other: &Self) -> bool {
        self.body == other.body && self.receipt == other.receipt
    }
}

/// The fate of an item.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolution {
    /// The item is in the result.
    Item(ItemState),
    /// The item is not in the result.
    Absent,
    /// Both sides want something else.
    Conflict,
}

/// Sides that changed the place for which the items of an object are sealed. Items that the other side sealed meanwhile decrypt in
/// the former place only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    pub(super) ours: bool,
    pub(super) theirs: bool,
}

/// Decides on an item. `None` is an item that a version does not have.
pub(super) fn resolve(item: &ThreeWay<Option<&ItemState>>, moved: Moved) -> Resolution {
    let ThreeWay { base, ours, theirs } = *item;
    let taken = |state: Option<&ItemState>| state.cloned().map_or(Resolution::Absent, Resolution::Item);
    match (ours, theirs) {
        _ if ours == theirs => taken(ours),
        (_, Some(_)) if ours == base && moved.ours && !moved.theirs => Resolution::Conflict,
        (Some(_), _) if theirs == base && moved.theirs && !moved.ours => Resolution::Conflict,
        _ if ours == base => taken(theirs),
        _ if theirs == base => taken(ours),
        // The same ciphertext, and another receipt.
        (Some(one), Some(other)) if one.body == other.body => {
            taken(Some(if one.receipt.is_empty() { other } else { one }))
        }
        _ => Resolution::Conflict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(body: &str, receipt: &str) -> ItemState {
        ItemState { body: body.to_owned(), receipt: receipt.to_owned(), value: None }
    }

    fn resolved(base: &str, ours: &str, theirs: &str, moved: Moved) -> String {
        let [base, ours, theirs] = [base, ours, theirs].map(|text| {
            let (body, receipt) = text.split_once('#').unwrap_or((text, ""));
            (!body.is_empty()).then(|| state(body, receipt))
        });
        match resolve(&ThreeWay { base: base.as_ref(), ours: ours.as_ref(), theirs: theirs.as_ref() }, moved)
        {
            Resolution::Item(state) => format!("{}#{}", state.body, state.receipt),
            Resolution::Absent => "absent".to_owned(),
            Resolution::Conflict => "conflict".to_owned(),
        }
    }

    #[test]
    fn the_side_that_changed_an_item_wins_and_two_changes_are_a_conflict() {
        for (base, ours, theirs, wanted) in [
            ("a", "a", "a", "a#"),
            ("a", "b", "a", "b#"),
            ("a", "b", "b", "b#"),
            ("", "b", "", "b#"),
            ("", "b", "b", "b#"),
            ("a", "", "a", "absent"),
            ("a", "", "", "absent"),
            ("a", "b", "c", "conflict"),
            ("a", "", "c", "conflict"),
            ("", "b", "c", "conflict"),
            ("a", "a#r", "a", "a#r"),
            ("a", "b#r", "b", "b#r"),
            ("a#q", "a#r", "b", "conflict"),
        ] {
            assert_eq!(resolved(base, ours, theirs, Moved::default()), wanted, "{base} {ours} {theirs}");
            assert_eq!(resolved(base, theirs, ours, Moved::default()), wanted, "{base} {theirs} {ours}");
        }
    }

    #[test]
    fn an_item_that_is_sealed_for_a_place_that_the_other_side_left_is_a_conflict() {
        let moved = Moved { ours: true, theirs: false };
        for (base, ours, theirs, wanted) in [
            ("a", "b", "a", "b#"),
            ("", "", "c", "conflict"),
            ("a", "a", "c", "conflict"),
            ("a", "a", "", "absent"),
            ("a", "b", "b", "b#"),
        ] {
            assert_eq!(resolved(base, ours, theirs, moved), wanted, "{base} {ours} {theirs}");
            let exchanged = Moved { ours: false, theirs: true };
            assert_eq!(resolved(base, theirs, ours, exchanged), wanted, "{base} {theirs} {ours}");
        }
        assert_eq!(resolved("", "", "c", Moved { ours: true, theirs: true }), "c#");
    }
}
