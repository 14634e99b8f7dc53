//! The common order of the items of several versions.

use std::collections::BTreeSet;

use super::super::emit::natural_order;

/// Returns all keys, so that each version has its own in the same order, as far as the versions agree. Keys that only some versions
/// have, and whose order none says, are sorted. The result is the same with `ours` and `theirs` exchanged, unless these order their
/// common keys differently.
pub(super) fn union(base: &[String], ours: &[String], theirs: &[String]) -> Vec<String> {
    let common: Vec<&String> = ours.iter().filter(|key| theirs.contains(key)).collect();
    let gaps = [ours, theirs, base].map(|keys| gaps(keys, &common));
    let mut known: BTreeSet<&String> = common.iter().copied().collect();
    let mut all = Vec::new();
    for number in 0..=common.len() {
        let lists = gaps.iter().map(|gaps| gaps.get(number).cloned().unwrap_or_default()).collect();
        all.extend(interleaved(lists).into_iter().filter(|key| known.insert(key)).cloned());
        all.extend(common.get(number).map(|key| (*key).clone()));
    }
    all
}

/// Splits the keys at the common ones: those before the first, after the first, and so on.
fn gaps<'k>(keys: &'k [String], common: &[&String]) -> Vec<Vec<&'k String>> {
    let mut gaps = vec![Vec::new(); common.len() + 1];
    let mut current = 0;
    for key in keys {
        match common.iter().position(|known| *known == key) {
            Some(position) => current = position + 1,
            None => gaps.get_mut(current).into_iter().for_each(|gap| gap.push(key)),
        }
    }
    gaps
}

/// Merges lists, each in its own order, and the smallest key first where several may come next.
fn interleaved(mut lists: Vec<Vec<&String>>) -> Vec<&String> {
    let mut output = Vec::new();
    loop {
        let heads: Vec<&String> = lists.iter().filter_map(|list| list.first().copied()).collect();
        let waits = |key: &String| lists.iter().any(|list| list.iter().skip(1).any(|later| *later == key));
        let free = heads.iter().copied().filter(|key| !waits(key)).min_by(|a, b| natural_order(a, b));
        let Some(next) = free.or_else(|| heads.iter().copied().min_by(|a, b| natural_order(a, b))) else {
            return output;
        };
        output.push(next);
        for list in &mut lists {
            list.retain(|key| *key != next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn united(base: &str, ours: &str, theirs: &str) -> String {
        let keys = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let [base, ours, theirs] = [base, ours, theirs].map(keys);
        let all = union(&base, &ours, &theirs);
        assert_eq!(union(&base, &theirs, &ours), all);
        all.join(" ")
    }

    #[test]
    fn keys_stay_in_the_order_of_their_versions_and_new_ones_are_sorted() {
        assert_eq!(united("a d", "a b d", "a c d"), "a b c d");
        assert_eq!(united("", "k2 k10", "k3"), "k2 k3 k10");
        assert_eq!(united("z a", "z a c", "z a b"), "z a b c");
        assert_eq!(united("a", "b", "a c"), "a b c");
        assert_eq!(united("a b c", "", "c"), "a b c");
        assert_eq!(united("p d", "p x", "p d y"), "p d x y");
        assert_eq!(united("", "z b", "z c"), "b z c".replace("b z c", "z b c"));
    }

    #[test]
    fn keys_whose_order_differs_are_there_once() {
        let keys = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let all = union(&keys("a b c"), &keys("c b a x"), &keys("a b c"));
        assert_eq!(all, keys("c b a x"));
        assert_eq!(union(&keys("a b"), &keys(""), &keys("")), keys("a b"));
        assert_eq!(union(&keys("a b"), &keys("b"), &keys("a")).len(), 2);
    }
}
