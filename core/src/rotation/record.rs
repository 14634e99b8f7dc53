//! Key record: the state of a key Secret in its labels and annotations, from which the rotation plan is made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_crds::names::{
    COMPROMISED_SINCE_ANNOTATION, DECRYPT_UNTIL_ANNOTATION, KEY_STATE_ANNOTATION, OFF_RING_SINCE_ANNOTATION,
    SEALING_KEY_ACTIVE, SEALING_KEY_COMPROMISED, SEALING_KEY_LABEL, SEALING_KEY_PENDING, SEALING_KEY_RETIRED,
    STATE_SINCE_ANNOTATION, UNUSED_SINCE_ANNOTATION,
};

use crate::crypto::Fingerprint;
use crate::keyring::RingKey;

/// Value of the label of a key Secret. The legacy Secret has no label and counts as `Active`
/// (docs/compatibility.md, section 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLabel {
    /// The key decrypts and may be primary.
    Active,
    /// The key decrypts and may not be primary yet.
    Pending,
    /// The key is off the key ring, because it is compromised.
    Compromised,
    /// The key is off the key ring, because nothing needs it.
    Retired,
    /// Any other value: the key is off the key ring, as in upstream.
    Other,
}

/// State that a user requests for a key, from the annotations on its Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DesiredState {
    /// No request.
    #[default]
    Active,
    /// The key must not be primary, and needs a successor.
    Compromised {
        /// End of decryption; `None` for no end.
        decrypt_until: Option<Timestamp>,
    },
    /// The key leaves the key ring as soon as nothing needs it.
    Retired,
}

/// Facts from the private key and the certificate of a key Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// Fingerprint of the public key.
    pub fingerprint: Fingerprint,
    /// Start of validity, as in [`RingKey::not_before`].
    pub not_before: Timestamp,
    /// Time by which keys are ordered.
    pub order_time: Timestamp,
    /// True if the key has its own certificate, so that it can be offered for sealing.
    pub has_certificate: bool,
}

/// Input of rotation from one key Secret in any phase. Contains nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Name of the Secret.
    pub name: String,
    /// `None` if the Secret holds no usable private key.
    pub facts: Option<KeyFacts>,
    /// Value of the label.
    pub label: KeyLabel,
    /// Creation time of the Secret.
    pub created: Timestamp,
    /// State that a user requests.
    pub desired: DesiredState,
    /// Time of that request.
    pub state_since: Option<Timestamp>,
    /// Time since which the key counts as compromised. A later request to retire it does not change that.
    pub compromised_since: Option<Timestamp>,
    /// End of decryption of a compromised key, also if it is to retire; `None` for no end.
    pub decrypt_until: Option<Timestamp>,
    /// Time at which the key left the key ring.
    pub off_ring_since: Option<Timestamp>,
    /// Time since which nothing has needed the key.
    pub unused_since: Option<Timestamp>,
}

impl KeyRecord {
    /// Creates the record of a Secret and the key that was read from it. Unreadable annotations count as absent, so that none
    /// disables decryption. A key that was compromised once stays so unless another state is requested.
    #[must_use]
    pub fn new(secret: &Secret, key: Option<&RingKey>) -> Self {
        let metadata = &secret.metadata;
        let empty = BTreeMap::new();
        let annotations = metadata.annotations.as_ref().unwrap_or(&empty);
        let time = |name: &str| annotations.get(name).and_then(|text| text.parse::<Timestamp>().ok());
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(SEALING_KEY_LABEL));
        let compromised_since = time(COMPROMISED_SINCE_ANNOTATION);
        let decrypt_until = time(DECRYPT_UNTIL_ANNOTATION);
        let desired = match annotations.get(KEY_STATE_ANNOTATION).map(String::as_str) {
            Some("Retired") => DesiredState::Retired,
            Some("Compromised") => DesiredState::Compromised { decrypt_until },
            _ if compromised_since.is_some() => DesiredState::Compromised { decrypt_until },
            _ => DesiredState::Active,
        };
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            facts: key.map(facts_of),
            label: label_of(label.map(String::as_str)),
            created: metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            desired,
            state_since: time(STATE_SINCE_ANNOTATION),
            compromised_since,
            decrypt_until,
            off_ring_since: time(OFF_RING_SINCE_ANNOTATION),
            unused_since: time(UNUSED_SINCE_ANNOTATION),
        }
    }

    /// Returns true if the label puts the key on the key ring.
    #[must_use]
    pub fn is_meant_to_decrypt(&self) -> bool {
        matches!(self.label, KeyLabel::Active | KeyLabel::Pending)
    }

    /// Returns the facts of the key if it decrypts.
    #[must_use]
    pub fn on_ring(&self) -> Option<&KeyFacts> {
        self.facts.as_ref().filter(|_| self.is_meant_to_decrypt())
    }

    /// Returns the facts of the key if, according to this Secret, it is or could become primary. Another Secret with the same key
    /// may record a compromise, see [`compromised`](super::compromised).
    #[must_use]
    pub fn could_be_primary(&self) -> Option<&KeyFacts> {
        let is_given_up = self.label == KeyLabel::Pending && self.desired == DesiredState::Retired;
        self.on_ring().filter(|facts| facts.has_certificate && !self.is_compromised() && !is_given_up)
    }

    /// Returns true if a user has put the key back on the key ring after it had left, which voids earlier requests.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.off_ring_since.is_some() && self.is_meant_to_decrypt()
    }

    /// Returns true if the key is compromised. It stays so until a user puts it back on the key ring.
    #[must_use]
    pub fn is_compromised(&self) -> bool {
        let is_said =
            self.compromised_since.is_some() || matches!(self.desired, DesiredState::Compromised { .. });
        (is_said && !self.is_restored()) || self.label == KeyLabel::Compromised
    }

    /// Returns true if a state is requested and the time of the request is not recorded.
    #[must_use]
    pub fn is_undated(&self) -> bool {
        let is_compromise = matches!(self.desired, DesiredState::Compromised { .. });
        (self.desired != DesiredState::Active && self.state_since.is_none())
            || (is_compromise && self.compromised_since.is_none())
    }
}

fn facts_of(key: &RingKey) -> KeyFacts {
    KeyFacts {
        fingerprint: key.fingerprint().clone(),
        not_before: key.not_before(),
        order_time: key.order_time(),
        has_certificate: key.certificate().is_some(),
    }
}

fn label_of(value: Option<&str>) -> KeyLabel {
    match value {
        None | Some(SEALING_KEY_ACTIVE) => KeyLabel::Active,
        Some(SEALING_KEY_PENDING) => KeyLabel::Pending,
        Some(SEALING_KEY_COMPROMISED) => KeyLabel::Compromised,
        Some(SEALING_KEY_RETIRED) => KeyLabel::Retired,
        Some(_) => KeyLabel::Other,
    }
}
