//! Computes the conditions `Stale` and `KeyCompromised`. Pure.

use sealed_secrets_core::decryption::KeyUse;
use sealed_secrets_core::keyring::KeyRing;

use crate::usage::ObjectKeyUsage;

/// Condition: some items are not sealed with the primary key.
pub(crate) const STALE: &str = "Stale";
/// Condition: some items are sealed with a key that others may have.
pub(crate) const KEY_COMPROMISED: &str = "KeyCompromised";

/// Maximum number of keys that a message names.
const MAX_NAMED: usize = 5;

/// A condition that is True. It is neither a failure nor progress, so that tools that judge an object ignore it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyCondition {
    pub(crate) type_: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// Returns the conditions of an object with these items, under this ring. Without a primary key nothing is stale.
pub(crate) fn key_conditions(object_usage: &ObjectKeyUsage, ring: &KeyRing) -> Vec<KeyCondition> {
    let primary = ring.primary().map(|key| key.fingerprint());
    let stale = chosen(object_usage, |key| primary.is_some_and(|primary| *primary != key.fingerprint));
    let compromised = chosen(object_usage, |key| ring.is_compromised(&key.fingerprint));
    let all: u32 =
        object_usage.keys.iter().map(|key| key.items).sum::<u32>().saturating_add(object_usage.undecryptable);
    let stale = (!stale.is_empty()).then(|| KeyCondition {
        type_: STALE,
        reason: "NotOnPrimary",
        message: format!(
            "{} of {all} items are not sealed with the current key ({}); run kubeseal --re-encrypt on the manifest and apply it",
            items(&stale),
            named(&stale)
        ),
    });
    let compromised = (!compromised.is_empty()).then(|| KeyCondition {
        type_: KEY_COMPROMISED,
        reason: "NeedsCompromisedKey",
        message: format!(
            "{} of {all} items are sealed with a compromised key ({}): anybody who has the key can read them. Re-encryption does not undo a leak: change the values, and seal the new ones",
            items(&compromised),
            named(&compromised)
        ),
    });
    [stale, compromised].into_iter().flatten().collect()
}

fn chosen(object_usage: &ObjectKeyUsage, which: impl Fn(&KeyUse) -> bool) -> Vec<&KeyUse> {
    let mut chosen: Vec<&KeyUse> = object_usage.keys.iter().filter(|key| which(key)).collect();
    // The order of use differs from one decryption to the next, and a message should not.
    chosen.sort_by(|a, b| b.items.cmp(&a.items).then_with(|| a.fingerprint.cmp(&b.fingerprint)));
    chosen
}

fn items(keys: &[&KeyUse]) -> u32 {
    keys.iter().map(|key| key.items).sum()
}

fn named(keys: &[&KeyUse]) -> String {
    let (named, more) = keys.split_at(keys.len().min(MAX_NAMED));
    let mut words: Vec<String> =
        named.iter().map(|key| format!("{} on {}", key.items, key.fingerprint)).collect();
    if !more.is_empty() {
        words.push(format!("{} on other keys", items(more)));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sealed_secrets_core::crypto::Fingerprint;

    use super::*;
    use crate::fuzzed::{CERTIFICATE, KEY};
    use crate::keystore::fixtures::ring_key;

    fn fingerprint(letter: char) -> Fingerprint {
        format!("SHA256:{}", letter.to_string().repeat(42) + "A").parse().unwrap()
    }

    fn object_usage(keys: &[(&Fingerprint, u32)], undecryptable: u32) -> ObjectKeyUsage {
        let uses = keys.iter().map(|&(key, items)| KeyUse { fingerprint: key.clone(), items });
        ObjectKeyUsage::of(uses.collect(), undecryptable)
    }

    /// A ring with one key, the primary.
    fn ring() -> (KeyRing, Fingerprint) {
        let key = ring_key(KEY, Some(CERTIFICATE));
        let fingerprint = key.fingerprint().clone();
        (KeyRing::new(vec![key]), fingerprint)
    }

    #[test]
    fn an_object_sealed_with_the_primary_key_has_no_key_condition() {
        let (ring, primary) = ring();
        assert_eq!(key_conditions(&object_usage(&[(&primary, 3)], 0), &ring), []);
        assert_eq!(
            key_conditions(&object_usage(&[], 2), &ring),
            [],
            "the Synced condition reports items that cannot be decrypted"
        );
    }

    #[test]
    fn without_a_key_that_leads_nothing_is_stale() {
        let (ring, primary) = ring();
        let ring = ring.with_primary(None);
        assert_eq!(key_conditions(&object_usage(&[(&primary, 1), (&fingerprint('b'), 1)], 0), &ring), []);
    }

    #[test]
    fn items_on_other_keys_are_counted_whatever_the_order_in_which_the_keys_were_used() {
        let (ring, primary) = ring();
        let (b, c) = (fingerprint('b'), fingerprint('c'));
        let expected = KeyCondition {
            type_: "Stale",
            reason: "NotOnPrimary",
            message: format!(
                "3 of 5 items are not sealed with the current key (2 on {c}, 1 on {b}); \
                 run kubeseal --re-encrypt on the manifest and apply it"
            ),
        };
        for keys in [[(&primary, 1), (&b, 1), (&c, 2)], [(&c, 2), (&b, 1), (&primary, 1)]] {
            assert_eq!(key_conditions(&object_usage(&keys, 1), &ring), std::slice::from_ref(&expected));
        }
    }

    #[test]
    fn a_compromised_key_is_reported_with_a_remedy_even_while_it_is_primary() {
        let (ring, primary) = ring();
        let ring = ring.with_compromised(BTreeSet::from([primary.clone()]));
        let found = key_conditions(&object_usage(&[(&primary, 2)], 0), &ring);
        let [mark] = found.as_slice() else { panic!("one mark, not {found:?}") };
        assert_eq!(mark.type_, "KeyCompromised");
        assert!(
            mark.message
                .starts_with(&format!("2 of 2 items are sealed with a compromised key (2 on {primary})"))
        );
        assert!(mark.message.contains("Re-encryption does not undo a leak: change the values"));
    }

    #[test]
    fn a_message_names_a_few_keys_however_many_there_are() {
        let (ring, _) = ring();
        let many: Vec<_> = ('a'..='z').map(fingerprint).collect();
        let uses: Vec<_> = many.iter().map(|key| (key, 2)).collect();
        let message = &key_conditions(&object_usage(&uses, 0), &ring)[0].message;
        assert!(
            message.starts_with("52 of 52 items") && message.contains(", 42 on other keys)"),
            "{message}"
        );
        assert!(message.len() < 512);
    }
}
