use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_crds::names::{
    COMPROMISED_SINCE_ANNOTATION, DECRYPT_UNTIL_ANNOTATION, KEY_STATE_ANNOTATION, OFF_RING_SINCE_ANNOTATION,
    SEALING_KEY_ACTIVE, SEALING_KEY_COMPROMISED, SEALING_KEY_LABEL, SEALING_KEY_PENDING, SEALING_KEY_RETIRED,
    STATE_SINCE_ANNOTATION, UNUSED_SINCE_ANNOTATION,
};

use crate::crypto::Fingerprint;
use crate::keyring::SealingKey;

/// What the label of a key Secret says; the absent one of the legacy Secret says `Active` (key-rotation, label values).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLabel {
    /// It decrypts and may lead.
    Active,
    /// It decrypts and does not lead yet.
    Pending,
    /// It is off the ring, because somebody else may have it.
    Compromised,
    /// It is off the ring, because nothing needs it.
    Retired,
    /// Any other value: off the ring, as upstream has it.
    Other,
}

/// What a person wants of a key, from the annotations on its Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Nothing in particular.
    #[default]
    Active,
    /// It must not lead, and needs a successor.
    Compromised {
        /// Until when it still decrypts; `None` for no end.
        decrypt_until: Option<Timestamp>,
    },
    /// It is to leave the ring as soon as nothing needs it.
    Retired,
}

/// What the private key and the certificate of a key Secret say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// Of the public half.
    pub fingerprint: Fingerprint,
    /// Start of validity, as [`SealingKey::not_before`] has it.
    pub not_before: Timestamp,
    /// Orders the keys.
    pub order_time: Timestamp,
    /// Whether it has a certificate of its own, so that it can be offered for sealing.
    pub has_certificate: bool,
}

/// Everything that rotation needs to know of one key Secret, of whatever phase; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Name of the Secret.
    pub name: String,
    /// `None` when it holds no usable private key.
    pub facts: Option<KeyFacts>,
    /// What its label says.
    pub label: KeyLabel,
    /// When the API server created the Secret.
    pub created: Timestamp,
    /// What a person wants.
    pub wish: Wish,
    /// Since when a person wants it.
    pub wish_since: Option<Timestamp>,
    /// Since when somebody else may have it. A later wish to retire it does not change that.
    pub compromised_since: Option<Timestamp>,
    /// Until when it decrypts if it is compromised, also when it is to retire; `None` for no end.
    pub decrypt_until: Option<Timestamp>,
    /// Since when it is off the ring.
    pub off_ring_since: Option<Timestamp>,
    /// Since when nothing has needed it.
    pub unused_since: Option<Timestamp>,
}

impl KeyRecord {
    /// The record of a Secret and the key that was read from it. Annotations that cannot be read count as absent, so that none
    /// takes away the ability to decrypt. A key that was compromised once is wanted so as long as nothing else is said.
    #[must_use]
    pub fn new(secret: &Secret, key: Option<&SealingKey>) -> Self {
        let metadata = &secret.metadata;
        let empty = BTreeMap::new();
        let annotations = metadata.annotations.as_ref().unwrap_or(&empty);
        let moment = |name: &str| annotations.get(name).and_then(|text| text.parse::<Timestamp>().ok());
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(SEALING_KEY_LABEL));
        let compromised_since = moment(COMPROMISED_SINCE_ANNOTATION);
        let decrypt_until = moment(DECRYPT_UNTIL_ANNOTATION);
        let wish = match annotations.get(KEY_STATE_ANNOTATION).map(String::as_str) {
            Some("Retired") => Wish::Retired,
            Some("Compromised") => Wish::Compromised { decrypt_until },
            _ if compromised_since.is_some() => Wish::Compromised { decrypt_until },
            _ => Wish::Active,
        };
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            facts: key.map(facts_of),
            label: label_of(label.map(String::as_str)),
            created: metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            wish,
            wish_since: moment(STATE_SINCE_ANNOTATION),
            compromised_since,
            decrypt_until,
            off_ring_since: moment(OFF_RING_SINCE_ANNOTATION),
            unused_since: moment(UNUSED_SINCE_ANNOTATION),
        }
    }

    /// Whether its label puts it on the ring.
    #[must_use]
    pub fn is_meant_to_open(&self) -> bool {
        matches!(self.label, KeyLabel::Active | KeyLabel::Pending)
    }

    /// The key that opens, if this one does.
    #[must_use]
    pub fn on_ring(&self) -> Option<&KeyFacts> {
        self.facts.as_ref().filter(|_| self.is_meant_to_open())
    }

    /// The key that leads or could after a while, as far as this Secret says: another one with the same key may call it
    /// compromised, which [`compromised`](super::compromised) tells.
    #[must_use]
    pub fn could_lead(&self) -> Option<&KeyFacts> {
        let is_given_up = self.label == KeyLabel::Pending && self.wish == Wish::Retired;
        self.on_ring().filter(|facts| facts.has_certificate && !self.is_compromised() && !is_given_up)
    }

    /// Whether a person has put it back on the ring after it had left: then an earlier wish is void.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.off_ring_since.is_some() && self.is_meant_to_open()
    }

    /// Whether somebody else may have the key: once said, it is so until a person puts the key back.
    #[must_use]
    pub fn is_compromised(&self) -> bool {
        let is_said = self.compromised_since.is_some() || matches!(self.wish, Wish::Compromised { .. });
        (is_said && !self.is_restored()) || self.label == KeyLabel::Compromised
    }

    /// Whether something is wanted of it and the moment of that is not noted.
    #[must_use]
    pub fn is_undated(&self) -> bool {
        let is_compromise = matches!(self.wish, Wish::Compromised { .. });
        (self.wish != Wish::Active && self.wish_since.is_none())
            || (is_compromise && self.compromised_since.is_none())
    }
}

fn facts_of(key: &SealingKey) -> KeyFacts {
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
