//! Body of the fuzz target `rotation_policy`.

use std::sync::LazyLock;

use clap::Parser as _;
use jiff::Timestamp;
use kube::api::DynamicObject;
use sealed_secrets_core::keyring::{OrderBy, RingKey};
use sealed_secrets_core::rotation::{KeyRecord, RotationPolicy, UsageReport, due_since, next_rotation, plan};
use sealed_secrets_crds::names::KEY_STATE_ANNOTATION;
use sealed_secrets_crds::{SealingKey, SealingKeyPhase, SealingKeyPolicy};

use super::desired::requested_state;
use crate::api::optional_crd_watch::read;
use crate::args::Args;
use crate::fuzzed::key_secret;
use crate::keystore::KeyView;
use crate::keystore::effective_policy::EffectivePolicy;

static FLAGS: LazyLock<Option<EffectivePolicy>> =
    LazyLock::new(|| Args::try_parse_from(["controller"]).ok().map(|args| EffectivePolicy::of_flags(&args)));

/// Plans the rotation by a text as a SealingKeyPolicy or SealingKey of an API server without validation; a malformed object is
/// skipped. Its `creationTimestamp` is the present.
///
/// # Panics
/// If the plan contradicts the policy or the time.
pub fn rotation_policy(input: &[u8]) {
    let Ok(object) = serde_json::from_slice::<DynamicObject>(input) else { return };
    let created = object.metadata.creation_timestamp.as_ref();
    let now = created.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let mut keys = keys();
    if let Some((_, sealing_key)) = read::<SealingKey>(object.clone()) {
        for key in &mut keys {
            key.record.desired = requested_state(key, &sealing_key).unwrap_or(key.record.desired);
        }
    }
    let policy = read::<SealingKeyPolicy>(object).map(|(_, policy)| policy);
    let Some(flags) = &*FLAGS else { return };
    let effective = policy.as_ref().map_or_else(|| flags.clone(), |policy| flags.under(policy));
    plan_by(&effective.rotation, &keys.into_iter().map(|key| key.record).collect::<Vec<_>>(), now);
}

/// A key that can become primary, and a key that is to retire.
fn keys() -> [KeyView; 2] {
    let [first, mut second] = ["a", "b"].map(key_secret);
    second.metadata.annotations = Some([(KEY_STATE_ANNOTATION.to_owned(), "Retired".to_owned())].into());
    [first, second].map(|secret| {
        let key = RingKey::from_secret(&secret, OrderBy::CertNotBefore).ok();
        KeyView {
            record: KeyRecord::new(&secret, key.as_ref()),
            uid: String::new(),
            certificate: None,
            problem: None,
            phase: SealingKeyPhase::Primary,
        }
    })
}

fn plan_by(policy: &RotationPolicy, keys: &[KeyRecord], now: Timestamp) {
    let usage = UsageReport::default();
    for usage in [None, Some(&usage)] {
        let planned = plan(policy, keys, usage, now);
        assert!(!policy.external || planned.generate.is_none());
        assert!(planned.next_change.is_none_or(|time| time > now), "{planned:?} at {now}");
    }
    assert!(due_since(policy, keys, now).is_none_or(|since| since <= now));
    let _ = next_rotation(policy, keys, now);
}
