//! What everybody may know of the keys and of their rotation. Nothing in it is secret.

use jiff::{SignedDuration, Timestamp};
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::rotation::{
    Blocked, Compromised, KeyLabel, KeyRecord, Occasion, Plan, activation_time, due_since, next_rotation,
};
use sealed_secrets_crds::SealingKeyPhase;
use sealed_secrets_crds::names::ROTATE_REQUESTED_AT_ANNOTATION;

use super::Keystore;
use super::guidance::heeded;
use super::load::Keys;

/// One key Secret.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeyView {
    pub(crate) record: KeyRecord,
    /// Of the Secret.
    pub(crate) uid: String,
    /// When it can be handed out.
    pub(crate) certificate: Option<SealingCertificate>,
    /// What is wrong with it.
    pub(crate) problem: Option<String>,
    pub(crate) phase: SealingKeyPhase,
}

/// Why something is not done although it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// This clock is so many seconds ahead of the API server's.
    ClockSkew(i64),
    /// Attempts have failed; the last one so.
    Failed { attempts: u32, why: String },
    /// This key Secret could not be changed, for this reason.
    Undone(String),
}

impl Hindrance {
    /// In words, the reason first.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::ClockSkew(_) => "ClockSkew: the clock here is more than 5 minutes away from the API server's, so no key is made, activated, retired or deleted; set the clock".to_owned(),
            Self::Failed { why, .. } => format!("a key could not be made, and it is tried again: {why}"),
            Self::Undone(what) => {
                format!("a key Secret could not be changed as is due, and it is tried again: {what}")
            }
        }
    }
}

/// All key Secrets of one list, and what was planned from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeysView {
    pub(crate) keys: Vec<KeyView>,
    /// Name of the key Secret that leads.
    pub(crate) primary: Option<String>,
    /// Why a key is to be made, if one is.
    pub(crate) wanted: Option<Occasion>,
    pub(crate) hindrance: Option<Hindrance>,
    pub(crate) blocked: Vec<Blocked>,
    /// Whether key Secrets may not be changed.
    pub(crate) read_only: bool,
    pub(crate) suspended: bool,
    pub(crate) activation_delay: SignedDuration,
    /// When the next key is due.
    pub(crate) next: Option<Timestamp>,
    /// Since when one is due.
    pub(crate) due_since: Option<Timestamp>,
    /// When the certificate of the key that leads has ended, if it has.
    pub(crate) ended: Option<Timestamp>,
    /// What was heeded of the policy in force.
    pub(crate) heeded: Option<Heeded>,
}

/// The version of the policy in force from which a plan was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heeded {
    pub(crate) uid: String,
    pub(crate) generation: Option<i64>,
    /// What its annotation asks for, if that is done.
    pub(crate) handled_request: Option<String>,
    /// What its annotation says, if that is no time.
    pub(crate) malformed_request: Option<String>,
}

impl Heeded {
    /// What is wrong with the annotation, in words.
    pub(crate) fn told_of_request(&self) -> Option<String> {
        let text: String = self.malformed_request.as_ref()?.chars().take(60).collect();
        Some(format!(
            "MalformedRequest: annotation {ROTATE_REQUESTED_AT_ANNOTATION} is {text:?} and no time such as 2026-11-20T09:00:00Z, so it asks for nothing"
        ))
    }
}

impl KeysView {
    pub(crate) fn key(&self, name: &str) -> Option<&KeyView> {
        self.keys.iter().find(|key| key.record.name == name)
    }

    pub(crate) fn primary(&self) -> Option<&KeyView> {
        self.key(self.primary.as_deref()?)
    }

    /// The key that waits longest for its activation, and when that is over.
    pub(crate) fn pending(&self) -> Option<(&KeyView, Timestamp)> {
        let waiting = self.keys.iter().filter(|key| key.phase == SealingKeyPhase::Pending);
        let activation = |key: &KeyView| activation_time(&key.record, self.activation_delay);
        waiting.map(|key| (key, activation(key))).min_by_key(|(key, time)| (*time, key.record.name.clone()))
    }

    /// That the certificate of the key that leads has ended, in words.
    pub(crate) fn told_of_end(&self) -> Option<String> {
        let (name, ended) = (self.primary.as_ref()?, self.ended?);
        Some(format!(
            "the certificate that is offered for sealing has expired: kubeseal refuses that of {name} since {ended}. Have a new key made, for example with `kubeseal keys rotate`; what was sealed to this one still opens"
        ))
    }
}

impl Keystore {
    /// What everybody may know after this plan.
    pub(super) fn view(&self, keys: &Keys, records: &[KeyRecord], plan: &Plan, now: Timestamp) -> KeysView {
        let rotation = &self.rules.rotation;
        let external = plan.blocked.iter().find_map(|blocked| match blocked {
            Blocked::ExternalKeys(occasion) => Some(*occasion),
            _ => None,
        });
        let keys = keys.views(plan.primary.as_deref());
        KeysView {
            ended: ended(&keys, plan.primary.as_deref(), self.skew.time_of_api_server(now)),
            keys,
            primary: plan.primary.clone(),
            wanted: plan.generate.map(|generation| generation.occasion).or(external),
            hindrance: self.hindrance(plan),
            blocked: plan.blocked.clone(),
            read_only: self.read_only,
            suspended: rotation.suspended,
            activation_delay: rotation.activation_delay,
            next: next_rotation(rotation, records, now),
            due_since: due_since(rotation, records, now),
            heeded: self.policy.as_ref().map(|policy| heeded(policy, records)),
        }
    }

    fn hindrance(&self, plan: &Plan) -> Option<Hindrance> {
        let of_making = plan.generate.and_then(|_| self.attempts.hindrance());
        let of_changes = || self.undone.clone().map(Hindrance::Undone);
        self.skew.hindrance().or(of_making).or_else(of_changes)
    }
}

/// When the certificate of the key that leads has ended; `None` while it is valid.
fn ended(keys: &[KeyView], primary: Option<&str>, now: Timestamp) -> Option<Timestamp> {
    let leads = |key: &&KeyView| primary == Some(&key.record.name);
    let not_after = keys.iter().find(leads)?.certificate.as_ref()?.not_after();
    (not_after < now).then_some(not_after)
}

/// What a key does.
pub(super) fn phase_of(
    record: &KeyRecord,
    primary: Option<&str>,
    compromised: &Compromised,
) -> SealingKeyPhase {
    let fingerprint = record.facts.as_ref().map(|facts| &facts.fingerprint);
    let is_compromised = fingerprint.is_some_and(|fingerprint| compromised.contains_key(fingerprint));
    match record.label {
        KeyLabel::Active | KeyLabel::Pending if record.facts.is_none() => SealingKeyPhase::Unreadable,
        _ if is_compromised => SealingKeyPhase::Compromised,
        KeyLabel::Compromised => SealingKeyPhase::Compromised,
        KeyLabel::Retired | KeyLabel::Other => SealingKeyPhase::Retired,
        _ if primary == Some(&record.name) => SealingKeyPhase::Primary,
        KeyLabel::Pending => SealingKeyPhase::Pending,
        KeyLabel::Active => SealingKeyPhase::DecryptOnly,
    }
}

/// What is not done and why, for people, the reason first.
pub(crate) fn told(blocked: &Blocked) -> String {
    match blocked {
        Blocked::ExternalKeys(_) => {
            "ExternalKeys: a new key is wanted, and keySource is External; add a key Secret".to_owned()
        }
        Blocked::Pin(name) => {
            format!(
                "PinIgnored: {name} cannot be offered for sealing, so the newest key is; correct primary.pin"
            )
        }
        Blocked::RetiresWhileLeading(name) => {
            format!(
                "RetiresWhileLeading: {name} is to retire and is the primary; it retires when another key leads"
            )
        }
        Blocked::RetiresWhileUsed(name) => {
            format!(
                "RetiresWhileUsed: {name} is to retire and is needed; it retires when nothing in this cluster is sealed to it"
            )
        }
        Blocked::ViewNotWhole(name) => format!(
            "ViewNotWhole: {name} does not retire and is not deleted before every SealedSecret of the cluster was opened; that takes all namespaces, no --label-selector, and no item that does not open"
        ),
        Blocked::Retention => {
            "ViewNotWhole: no unused key retires before every SealedSecret of the cluster was opened; that takes all namespaces, no --label-selector, and no item that does not open".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{self, key, moment};
    use super::*;

    /// A key whose certificate ends an hour after 1970 began.
    fn key_that_ends(name: &str) -> KeyView {
        let certificate = SealingCertificate::from_pem(fixtures::certificate(1).as_bytes()).unwrap();
        KeyView { certificate: Some(certificate), ..key(name, SealingKeyPhase::Primary) }
    }

    #[test]
    fn a_certificate_has_ended_when_its_last_second_is_over_and_only_that_of_the_leader_counts() {
        let keys = [key_that_ends("a"), key("b", SealingKeyPhase::DecryptOnly)];
        assert_eq!(ended(&keys, Some("a"), moment(3_600)), None);
        assert_eq!(ended(&keys, Some("a"), moment(3_601)), Some(moment(3_600)));
        assert_eq!(ended(&keys, Some("b"), moment(3_601)), None);
        assert_eq!(ended(&keys, None, moment(3_601)), None);
    }
}
