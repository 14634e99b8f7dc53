//! The body of the fuzz target `rotation_policy`.

use std::sync::LazyLock;

use clap::Parser as _;
use jiff::Timestamp;
use kube::api::DynamicObject;
use sealed_secrets_core::keyring::{OrderBy, SealingKey as Key};
use sealed_secrets_core::rotation::{KeyRecord, Need, due_since, next_rotation, plan};
use sealed_secrets_crds::names::KEY_STATE_ANNOTATION;
use sealed_secrets_crds::{SealingKey, SealingKeyPhase, SealingKeyPolicy};

use super::rules::Rules;
use super::view::KeyView;
use crate::args::Args;
use crate::fuzzed::key_secret;
use crate::own_kinds::read;
use crate::sealing_keys::unheeded_wish;

static FLAGS: LazyLock<Option<Rules>> =
    LazyLock::new(|| Args::try_parse_from(["controller"]).ok().map(|args| Rules::of_flags(&args)));

/// Any text as an object of a kind of ours, from an API server without validation: what it asks for is planned, or it is passed
/// over. Its `creationTimestamp` is the present.
///
/// # Panics
/// Where it is not.
pub fn rotation_policy(input: &[u8]) {
    let Ok(object) = serde_json::from_slice::<DynamicObject>(input) else { return };
    let created = object.metadata.creation_timestamp.as_ref();
    let now = created.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let mut keys = keys();
    if let Some((_, said)) = read::<SealingKey>(object.clone()) {
        let wishes = keys.iter().map(|key| unheeded_wish(key, &said));
        let wishes: Vec<_> = wishes.collect();
        for (key, wish) in keys.iter_mut().zip(wishes) {
            key.record.wish = wish.unwrap_or(key.record.wish);
        }
    }
    let policy = read::<SealingKeyPolicy>(object).map(|(_, policy)| policy);
    let Some(flags) = &*FLAGS else { return };
    let rules = policy.as_ref().map_or_else(|| flags.clone(), |policy| flags.under(policy));
    plan_by(&rules, &keys.into_iter().map(|key| key.record).collect::<Vec<_>>(), now);
}

/// One that could lead, and one that is to retire.
fn keys() -> [KeyView; 2] {
    let [first, mut second] = ["a", "b"].map(key_secret);
    second.metadata.annotations = Some([(KEY_STATE_ANNOTATION.to_owned(), "Retired".to_owned())].into());
    [first, second].map(|secret| {
        let key = Key::from_secret(&secret, OrderBy::CertNotBefore).ok();
        KeyView {
            record: KeyRecord::new(&secret, key.as_ref()),
            uid: String::new(),
            certificate: None,
            problem: None,
            phase: SealingKeyPhase::Primary,
        }
    })
}

fn plan_by(rules: &Rules, keys: &[KeyRecord], now: Timestamp) {
    let need = Need::default();
    for need in [None, Some(&need)] {
        let planned = plan(&rules.rotation, keys, need, now);
        assert!(!rules.rotation.external || planned.generate.is_none());
        assert!(planned.look_again_at.is_none_or(|moment| moment > now), "{planned:?} at {now}");
    }
    assert!(due_since(&rules.rotation, keys, now).is_none_or(|since| since <= now));
    let _ = next_rotation(&rules.rotation, keys, now);
}
