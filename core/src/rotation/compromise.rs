//! Compromised keys: stated by any Secret that holds them, and never candidates for the primary key.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::record::{KeyFacts, KeyRecord};
use crate::crypto::Fingerprint;

/// Compromised keys, with the time since which each is known to be compromised.
pub type Compromised = BTreeMap<Fingerprint, Option<Timestamp>>;

/// Collects the compromised keys, as stated by any Secret that holds them, with the earliest recorded time. Several Secrets may
/// hold the same key, since key Secrets are immutable and a certificate may be reissued.
#[must_use]
pub fn compromised(keys: &[KeyRecord]) -> Compromised {
    let mut all = Compromised::new();
    for key in keys.iter().filter(|key| key.is_compromised()) {
        let Some(facts) = &key.facts else { continue };
        let since = key.compromised_since.or(key.state_since).or(key.off_ring_since);
        let earlier = all.get(&facts.fingerprint).copied().flatten();
        all.insert(facts.fingerprint.clone(), earlier.into_iter().chain(since).min());
    }
    all
}

/// Returns keys that are primary now or could become so.
pub(super) fn candidates<'a>(
    keys: &'a [KeyRecord],
    compromised: &Compromised,
) -> impl Iterator<Item = (&'a KeyRecord, &'a KeyFacts)> {
    let offered = keys.iter().filter_map(|key| Some((key, key.could_be_primary()?)));
    offered.filter(|(_, facts)| !compromised.contains_key(&facts.fingerprint))
}
