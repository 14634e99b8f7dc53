//! When to make a key, and what to call it.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::crypto::Fingerprint;
use crate::keyring::KeyRing;

/// What is asked of the key ring, whoever asks: flags, or later a SealingKeyPolicy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RotationPolicy {
    /// A successor is due when the newest key is this old; `None` for never.
    pub every: Option<SignedDuration>,
    /// The newest key must not have begun before this moment; a future one is scheduled.
    pub rotate_after: Option<Timestamp>,
}

/// Why a key is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// There is none.
    FirstKey,
    /// The newest is as old as the period.
    PeriodOver,
    /// The newest began before the moment that was asked for.
    Requested,
}

/// What to do now, and when to plan again at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Make one successor of the newest key, for this reason.
    pub generate: Option<Occasion>,
    /// The next moment at which this plan changes by time alone.
    pub look_again_at: Option<Timestamp>,
}

/// Decides from the policy, the ring and the time (key-rotation rule 2): the newest key, pending ones included, is judged by
/// its start of validity in whole seconds, so that the same question gets the same answer after a retry, a restart or a
/// restore. A key dated in the future counts as made.
#[must_use]
pub fn plan(policy: &RotationPolicy, ring: &KeyRing, now: Timestamp) -> Plan {
    let Some(newest) = ring.newest() else {
        return Plan { generate: Some(Occasion::FirstKey), look_again_at: None };
    };
    let made = newest.not_before().as_second();
    let period_over = policy.every.and_then(|every| newest.not_before().checked_add(every).ok());
    let requested = policy.rotate_after.filter(|moment| made < moment.as_second());
    let is_past = |moment: &Timestamp| *moment <= now;
    let generate = if requested.as_ref().is_some_and(is_past) {
        Some(Occasion::Requested)
    } else if period_over.as_ref().is_some_and(is_past) {
        Some(Occasion::PeriodOver)
    } else {
        None
    };
    let look_again_at =
        [requested, period_over].into_iter().flatten().filter(|moment| !is_past(moment)).min();
    Plan { generate, look_again_at }
}

/// The name of the Secret that holds the successor of the key `newest`, or the first key of an installation.
///
/// A pure function of its arguments, so that any number of replicas agree and `create` lets one win (key-rotation rule 3):
/// the prefix and the first 8 characters of lower-case base32 (RFC 4648) of SHA-256 over the UID, a zero byte, the
/// fingerprint or nothing, a zero byte, and `n` in decimal. `uid` is that of the controller's namespace; `n` counts the names
/// that are taken by something else than a usable key.
#[must_use]
pub fn successor_name(prefix: &str, uid: &str, newest: Option<&Fingerprint>, n: u32) -> String {
    let fingerprint = newest.map(Fingerprint::as_str).unwrap_or_default();
    let digest = Sha256::digest(format!("{uid}\0{fingerprint}\0{n}"));
    format!("{prefix}{}", first_base32_characters(&digest))
}

/// The first 8 characters, which stand for the first 40 bits.
fn first_base32_characters(digest: &[u8]) -> String {
    const ALPHABET: [u8; 32] = *b"abcdefghijklmnopqrstuvwxyz234567";
    let bits = digest.iter().take(5).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let groups = (0..8).rev().map(|group| usize::try_from(bits >> (5 * group) & 31).unwrap_or_default());
    groups.filter_map(|index| ALPHABET.get(index)).map(|letter| char::from(*letter)).collect()
}
