//! The public view of the keys and their rotation. It contains no secrets.

use jiff::{SignedDuration, Timestamp};
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::rotation::{
    Blocked, Compromised, KeyLabel, KeyRecord, Plan, Trigger, activation_time,
};
use sealed_secrets_crds::SealingKeyPhase;
use sealed_secrets_crds::names::ROTATE_REQUESTED_AT_ANNOTATION;

/// A key Secret.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeyView {
    pub(crate) record: KeyRecord,
    /// UID of the Secret.
    pub(crate) uid: String,
    /// The certificate, if it can be served.
    pub(crate) certificate: Option<SealingCertificate>,
    /// The defect of the key.
    pub(crate) problem: Option<String>,
    pub(crate) phase: SealingKeyPhase,
}

/// The reason why a due step is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Blocker {
    /// Number of seconds by which this clock is ahead of the API server's.
    ClockSkew(i64),
    /// Number of failed attempts, and the error of the last one.
    Failed { attempts: u32, cause: String },
    /// The error of a write to a key Secret.
    WriteFailed(String),
}

impl Blocker {
    /// Returns the message, which begins with the reason.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::ClockSkew(_) => "ClockSkew: the controller's clock is more than 5 minutes away from the API server's, so no key is generated, activated, retired or deleted; correct the clock".to_owned(),
            Self::Failed { cause, .. } => format!("the generation of a key failed and is retried: {cause}"),
            Self::WriteFailed(what) => {
                format!("a due change of a key Secret failed and is retried: {what}")
            }
        }
    }
}

/// All key Secrets of one list, and the plan made from it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeysView {
    pub(crate) keys: Vec<KeyView>,
    /// Name of the primary key's Secret.
    pub(crate) primary: Option<String>,
    /// The reason why a key is due, if one is.
    pub(crate) due_trigger: Option<Trigger>,
    pub(crate) blocker: Option<Blocker>,
    pub(crate) blocked: Vec<Blocked>,
    /// True if key Secrets may not be changed.
    pub(crate) read_only: bool,
    pub(crate) suspended: bool,
    pub(crate) activation_delay: SignedDuration,
    /// The time at which the next key is due.
    pub(crate) next: Option<Timestamp>,
    /// The time since which a key has been due.
    pub(crate) due_since: Option<Timestamp>,
    /// The end of validity of the primary key's certificate, if it has passed.
    pub(crate) expired_at: Option<Timestamp>,
    /// The version of the policy in force that the plan is based on.
    pub(crate) observed_policy: Option<ObservedPolicy>,
}

/// The version of the policy in force from which a plan was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObservedPolicy {
    pub(crate) uid: String,
    pub(crate) generation: Option<i64>,
    /// The request of its annotation, if it was fulfilled.
    pub(crate) handled_request: Option<String>,
    /// The text of its annotation, if it is not a time.
    pub(crate) malformed_request: Option<String>,
}

impl ObservedPolicy {
    /// Returns the message about a malformed annotation.
    pub(crate) fn describe_request(&self) -> Option<String> {
        let text: String = self.malformed_request.as_ref()?.chars().take(60).collect();
        Some(format!(
            "MalformedRequest: annotation {ROTATE_REQUESTED_AT_ANNOTATION} is {text:?}, which is not a time such as 2026-11-20T09:00:00Z, so it is ignored"
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

    /// Returns the pending key with the longest wait for its activation, and the time of its activation.
    pub(crate) fn pending(&self) -> Option<(&KeyView, Timestamp)> {
        let waiting = self.keys.iter().filter(|key| key.phase == SealingKeyPhase::Pending);
        let activation = |key: &KeyView| activation_time(&key.record, self.activation_delay);
        waiting.map(|key| (key, activation(key))).min_by_key(|(key, time)| (*time, key.record.name.clone()))
    }

    /// Returns the message that the certificate of the primary key has expired.
    pub(crate) fn describe_expiry(&self) -> Option<String> {
        let (name, expired_at) = (self.primary.as_ref()?, self.expired_at?);
        Some(format!(
            "the certificate that is offered for sealing has expired: kubeseal refuses that of {name} since {expired_at}. Request a new key, for example with `kubeseal keys rotate`; items that were sealed with this one still decrypt"
        ))
    }
}

/// Returns the reason why a key is due that must be added externally.
pub(super) fn external_trigger(plan: &Plan) -> Option<Trigger> {
    plan.blocked.iter().find_map(|blocked| match blocked {
        Blocked::ExternalKeys(trigger) => Some(*trigger),
        _ => None,
    })
}

/// Returns the end of validity of the primary key's certificate; `None` while it is valid.
pub(super) fn expired_at(keys: &[KeyView], primary: Option<&str>, now: Timestamp) -> Option<Timestamp> {
    let is_primary = |key: &&KeyView| primary == Some(&key.record.name);
    let not_after = keys.iter().find(is_primary)?.certificate.as_ref()?.not_after();
    (not_after < now).then_some(not_after)
}

/// Returns the phase of a key.
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

/// Returns the message about a blocked step, which begins with the reason.
pub(crate) fn describe(blocked: &Blocked) -> String {
    match blocked {
        Blocked::ExternalKeys(_) => {
            "ExternalKeys: a new key is due, but keySource is External; add a key Secret".to_owned()
        }
        Blocked::Pin(name) => {
            format!(
                "PinIgnored: {name} cannot be the primary key, so the newest key is; correct primary.pin"
            )
        }
        Blocked::RetiresWhilePrimary(name) => {
            format!(
                "RetiresWhilePrimary: {name} is to be retired but is the primary key; it is retired once another key is primary"
            )
        }
        Blocked::RetiresWhileUsed(name) => {
            format!(
                "RetiresWhileUsed: {name} is to be retired but is needed; it is retired once no item in this cluster is sealed with it"
            )
        }
        Blocked::UsageIncomplete(name) => format!(
            "UsageIncomplete: {name} is neither retired nor deleted until every item of every SealedSecret of the cluster has been decrypted; this requires all namespaces, no --label-selector, and no item that cannot be decrypted"
        ),
        Blocked::Retention => {
            "UsageIncomplete: no unused key retires until every item of every SealedSecret of the cluster has been decrypted; this requires all namespaces, no --label-selector, and no item that cannot be decrypted".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{self, key, time_at};
    use super::*;

    /// Returns a key whose certificate ends an hour after 1970 began.
    fn key_that_ends(name: &str) -> KeyView {
        let certificate = SealingCertificate::from_pem(fixtures::certificate(1).as_bytes()).unwrap();
        KeyView { certificate: Some(certificate), ..key(name, SealingKeyPhase::Primary) }
    }

    #[test]
    fn a_certificate_has_ended_when_its_last_second_is_over_and_only_that_of_the_primary_counts() {
        let keys = [key_that_ends("a"), key("b", SealingKeyPhase::DecryptOnly)];
        assert_eq!(expired_at(&keys, Some("a"), time_at(3_600)), None);
        assert_eq!(expired_at(&keys, Some("a"), time_at(3_601)), Some(time_at(3_600)));
        assert_eq!(expired_at(&keys, Some("b"), time_at(3_601)), None);
        assert_eq!(expired_at(&keys, None, time_at(3_601)), None);
    }
}
