use std::collections::BTreeMap;

use jiff::Timestamp;

use super::record::{KeyFacts, KeyRecord};
use crate::crypto::Fingerprint;

/// Compromised keys, and since when that is known.
pub type Compromised = BTreeMap<Fingerprint, Option<Timestamp>>;

/// The keys that somebody else may have, by what any Secret says that holds them, and since when that is known, if it is noted.
/// A key may be in several Secrets, since those cannot be changed and a certificate may be issued anew.
#[must_use]
pub fn compromised(keys: &[KeyRecord]) -> Compromised {
    let mut all = Compromised::new();
    for key in keys.iter().filter(|key| key.is_compromised()) {
        let Some(facts) = &key.facts else { continue };
        let since = key.compromised_since.or(key.wish_since).or(key.off_ring_since);
        let earlier = all.get(&facts.fingerprint).copied().flatten();
        all.insert(facts.fingerprint.clone(), earlier.into_iter().chain(since).min());
    }
    all
}

/// Keys that lead now or could after a while.
pub(super) fn candidates<'a>(
    keys: &'a [KeyRecord],
    compromised: &Compromised,
) -> impl Iterator<Item = (&'a KeyRecord, &'a KeyFacts)> {
    let offered = keys.iter().filter_map(|key| Some((key, key.could_lead()?)));
    offered.filter(|(_, facts)| !compromised.contains_key(&facts.fingerprint))
}
