//! What there is to say of the keys that an object needs, whether it opens or not: pure.

use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::KeyUse;

use crate::usage::Tally;

/// Condition: some items are not sealed with the key that is offered for sealing.
pub(super) const STALE: &str = "Stale";
/// Condition: some items are sealed with a key that somebody else may have.
pub(super) const KEY_COMPROMISED: &str = "KeyCompromised";

/// More keys than this are not named in a message.
const MOST_NAMED: usize = 5;

/// A condition that holds; neither is a failure nor progress, so that tools which judge an object pass over both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) type_: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What holds of an object with these items, under this ring. Without a key that leads nothing is stale.
pub(super) fn marks(tally: &Tally, ring: &KeyRing) -> Vec<Mark> {
    let primary = ring.primary().map(|key| key.fingerprint());
    let stale = chosen(tally, |key| primary.is_some_and(|primary| *primary != key.fingerprint));
    let compromised = chosen(tally, |key| ring.is_compromised(&key.fingerprint));
    let all: u32 = tally.keys.iter().map(|key| key.items).sum::<u32>().saturating_add(tally.unopened);
    let stale = (!stale.is_empty()).then(|| Mark {
        type_: STALE,
        reason: "NotOnPrimary",
        message: format!(
            "{} of {all} items are not sealed with the current key ({}); run kubeseal --re-encrypt on the manifest and apply it",
            items(&stale),
            named(&stale)
        ),
    });
    let compromised = (!compromised.is_empty()).then(|| Mark {
        type_: KEY_COMPROMISED,
        reason: "NeedsCompromisedKey",
        message: format!(
            "{} of {all} items are sealed with a compromised key ({}): whoever has it can read them. Re-encryption does not undo a leak: change the values, and seal the new ones",
            items(&compromised),
            named(&compromised)
        ),
    });
    [stale, compromised].into_iter().flatten().collect()
}

fn chosen(tally: &Tally, which: impl Fn(&KeyUse) -> bool) -> Vec<&KeyUse> {
    let mut chosen: Vec<&KeyUse> = tally.keys.iter().filter(|key| which(key)).collect();
    // The order of use differs from one opening to the next, and a message should not.
    chosen.sort_by(|a, b| b.items.cmp(&a.items).then_with(|| a.fingerprint.cmp(&b.fingerprint)));
    chosen
}

fn items(keys: &[&KeyUse]) -> u32 {
    keys.iter().map(|key| key.items).sum()
}

fn named(keys: &[&KeyUse]) -> String {
    let (named, more) = keys.split_at(keys.len().min(MOST_NAMED));
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
    use std::sync::Arc;

    use k8s_openapi::ByteString;
    use k8s_openapi::api::core::v1::Secret;
    use sealed_secrets_core::crypto::Fingerprint;
    use sealed_secrets_core::keyring::{OrderBy, SealingKey};

    use super::*;

    fn fingerprint(letter: char) -> Fingerprint {
        format!("SHA256:{}", letter.to_string().repeat(42) + "A").parse().unwrap()
    }

    fn tally(keys: &[(&Fingerprint, u32)], unopened: u32) -> Tally {
        let uses = keys.iter().map(|&(key, items)| KeyUse { fingerprint: key.clone(), items });
        Tally::of(uses.collect(), unopened)
    }

    /// A ring with one key, which leads.
    fn ring() -> (KeyRing, Fingerprint) {
        let field = |name: &str, pem: &str| (name.to_owned(), ByteString(pem.as_bytes().to_vec()));
        let data = [
            field("tls.key", include_str!("../../../core/tests/data/rsa2048-pkcs1.pem")),
            field("tls.crt", include_str!("../../../core/tests/data/rsa2048.crt")),
        ];
        let secret = Secret { data: Some(data.into()), ..Secret::default() };
        let key = SealingKey::from_secret(&secret, OrderBy::default()).unwrap();
        let fingerprint = key.fingerprint().clone();
        (KeyRing::new(vec![Arc::new(key)]), fingerprint)
    }

    #[test]
    fn what_is_all_on_the_primary_has_no_mark() {
        let (ring, primary) = ring();
        assert_eq!(marks(&tally(&[(&primary, 3)], 0), &ring), []);
        assert_eq!(marks(&tally(&[], 2), &ring), [], "what does not open is told otherwise");
    }

    #[test]
    fn without_a_key_that_leads_nothing_is_stale() {
        let (ring, primary) = ring();
        let ring = ring.led_by(None);
        assert_eq!(marks(&tally(&[(&primary, 1), (&fingerprint('b'), 1)], 0), &ring), []);
    }

    #[test]
    fn items_on_other_keys_are_counted_whatever_the_order_in_which_the_keys_were_used() {
        let (ring, primary) = ring();
        let (b, c) = (fingerprint('b'), fingerprint('c'));
        let expected = Mark {
            type_: "Stale",
            reason: "NotOnPrimary",
            message: format!(
                "3 of 5 items are not sealed with the current key (2 on {c}, 1 on {b}); \
                 run kubeseal --re-encrypt on the manifest and apply it"
            ),
        };
        for keys in [[(&primary, 1), (&b, 1), (&c, 2)], [(&c, 2), (&b, 1), (&primary, 1)]] {
            assert_eq!(marks(&tally(&keys, 1), &ring), std::slice::from_ref(&expected));
        }
    }

    #[test]
    fn a_compromised_key_is_told_also_while_it_leads_and_with_what_helps() {
        let (ring, primary) = ring();
        let ring = ring.with_compromised(BTreeSet::from([primary.clone()]));
        let found = marks(&tally(&[(&primary, 2)], 0), &ring);
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
        let message = &marks(&tally(&uses, 0), &ring)[0].message;
        assert!(
            message.starts_with("52 of 52 items") && message.contains(", 42 on other keys)"),
            "{message}"
        );
        assert!(message.len() < 512);
    }
}
