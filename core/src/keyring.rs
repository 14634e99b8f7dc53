//! The controller's keys: an immutable, totally ordered ring.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use sealed_secrets_crds::names::{SEALING_KEY_LABEL, SEALING_KEY_PENDING};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::{CertificateError, Fingerprint, KeyPair, KeyPairError, SealingCertificate};

const PRIVATE_KEY_FIELD: &str = "tls.key";
const CERTIFICATE_FIELD: &str = "tls.crt";

/// A certificate may predate its Secret by any time, but not postdate it by more than this (a clock had jumped).
const MAX_LEAD_OF_NOT_BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// What "newest" means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderBy {
    /// The certificate's start of validity.
    #[default]
    CertNotBefore,
    /// The Secret's creation time.
    SecretCreationTimestamp,
}

/// Why a key Secret holds no usable private key. No variant carries key material.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeySecretError {
    /// The field is absent or empty.
    #[error("field data[\"tls.key\"] is missing")]
    NoPrivateKey,
    /// The field cannot be used.
    #[error("field data[\"tls.key\"]: {0}")]
    PrivateKey(#[from] KeyPairError),
}

/// Why a key may open but never lead: its certificate must not be handed out.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CertificateProblem {
    /// The field is absent or empty.
    #[error("field data[\"tls.crt\"] is missing; the key opens SealedSecrets but is not offered for sealing")]
    Missing,
    /// The field cannot be used.
    #[error("field data[\"tls.crt\"]: {0}; the key opens SealedSecrets but is not offered for sealing")]
    Unusable(#[from] CertificateError),
    /// It belongs to another key.
    #[error(
        "field data[\"tls.crt\"] does not match the private key in data[\"tls.key\"]; the key opens SealedSecrets but is not offered for sealing"
    )]
    Mismatch,
}

/// One key of the ring with what is known of it.
#[derive(Debug)]
pub struct SealingKey {
    name: String,
    key_pair: KeyPair,
    certificate: Result<SealingCertificate, CertificateProblem>,
    pending: bool,
    not_before: Timestamp,
    order_time: Timestamp,
}

impl SealingKey {
    /// Reads a key Secret: `data["tls.key"]` and `data["tls.crt"]`, whatever the Secret's type (compatibility 4.6).
    ///
    /// A key whose certificate is missing, unreadable or another key's is accepted, since it may be needed to open
    /// (key-rotation rule 6); [`problem`](Self::problem) then says why it never leads.
    ///
    /// # Errors
    /// When there is no usable RSA private key in it.
    pub fn from_secret(secret: &Secret, order_by: OrderBy) -> Result<Self, KeySecretError> {
        let private = field(secret, PRIVATE_KEY_FIELD).ok_or(KeySecretError::NoPrivateKey)?;
        let key_pair = KeyPair::from_pem(&private)?;
        let certificate = certificate_of(secret, &key_pair);
        let created = secret.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let not_before = effective_not_before(certificate.as_ref().ok(), created);
        let order_time = match order_by {
            OrderBy::CertNotBefore => not_before,
            OrderBy::SecretCreationTimestamp => created.unwrap_or(not_before),
        };
        let label = secret.metadata.labels.as_ref().and_then(|labels| labels.get(SEALING_KEY_LABEL));
        let pending = label.is_some_and(|value| value == SEALING_KEY_PENDING);
        let name = secret.metadata.name.clone().unwrap_or_default();
        Ok(Self { name, key_pair, certificate, pending, not_before, order_time })
    }

    /// Name of the key Secret.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key itself.
    #[must_use]
    pub fn key_pair(&self) -> &KeyPair {
        &self.key_pair
    }

    /// Its certificate, when that can be handed out.
    #[must_use]
    pub fn certificate(&self) -> Option<&SealingCertificate> {
        self.certificate.as_ref().ok()
    }

    /// Why it has no certificate that can be handed out.
    #[must_use]
    pub fn problem(&self) -> Option<&CertificateProblem> {
        self.certificate.as_ref().err()
    }

    /// Whether it may be offered for sealing: active, with a certificate of its own.
    #[must_use]
    pub fn may_lead(&self) -> bool {
        !self.pending && self.certificate.is_ok()
    }

    /// The certificate's start of validity, or the Secret's creation time where the former is absent or lies more than 24
    /// hours after the latter. Rotation is judged on it.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The time that orders the ring.
    #[must_use]
    pub fn order_time(&self) -> Timestamp {
        self.order_time
    }

    /// The fingerprint of its public half.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        self.key_pair.fingerprint()
    }
}

/// All keys that open, newest first: a snapshot that never changes.
///
/// The order is total, by time and then by fingerprint (key-rotation rule 7), so that all replicas agree on the newest.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    keys: Vec<Arc<SealingKey>>,
    primary: Option<Arc<SealingKey>>,
    compromised: BTreeSet<Fingerprint>,
    identity: OnceLock<String>,
}

impl KeyRing {
    /// A ring of these keys. Of two Secrets with the same key the one that leads is kept, else the first.
    #[must_use]
    pub fn new(mut keys: Vec<Arc<SealingKey>>) -> Self {
        keys.sort_by(|a, b| rank(b).cmp(&rank(a)));
        let mut distinct: Vec<Arc<SealingKey>> = Vec::with_capacity(keys.len());
        for key in keys {
            match distinct.iter_mut().find(|kept| kept.fingerprint() == key.fingerprint()) {
                Some(kept) if !kept.may_lead() && key.may_lead() => *kept = key,
                Some(_) => {}
                None => distinct.push(key),
            }
        }
        distinct.sort_by(|a, b| rank(b).cmp(&rank(a)));
        let primary = distinct.iter().find(|key| key.may_lead()).cloned();
        Self { keys: distinct, primary, ..Self::default() }
    }

    /// The same keys, led by this one if it may lead, and by none otherwise.
    #[must_use]
    pub fn led_by(self, primary: Option<&Fingerprint>) -> Self {
        let chosen = self.keys.iter().find(|key| Some(key.fingerprint()) == primary && key.may_lead());
        Self { primary: chosen.cloned(), ..self }
    }

    /// The same keys, of which somebody else may have these.
    #[must_use]
    pub fn with_compromised(self, compromised: BTreeSet<Fingerprint>) -> Self {
        Self { compromised, ..self }
    }

    /// Whether somebody else may have this key. It may still open, and is named also when it is off the ring.
    #[must_use]
    pub fn is_compromised(&self, key: &Fingerprint) -> bool {
        self.compromised.contains(key)
    }

    /// Every key that [`is_compromised`](Self::is_compromised) holds of.
    #[must_use]
    pub fn compromised(&self) -> &BTreeSet<Fingerprint> {
        &self.compromised
    }

    /// The key that is offered for sealing: the newest that may lead, if no other was chosen.
    #[must_use]
    pub fn primary(&self) -> Option<&Arc<SealingKey>> {
        self.primary.as_ref()
    }

    /// The newest key, pending ones included.
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<SealingKey>> {
        self.keys.first()
    }

    /// The keys, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<SealingKey>> {
        self.keys.iter()
    }

    /// Names the set of keys: equal for rings of the same keys whatever their Secrets, and for no others (base64 of a SHA-256).
    #[must_use]
    pub fn identity(&self) -> &str {
        self.identity.get_or_init(|| {
            let mut fingerprints: Vec<&str> =
                self.keys.iter().map(|key| key.fingerprint().as_str()).collect();
            fingerprints.sort_unstable();
            STANDARD_NO_PAD.encode(Sha256::digest(fingerprints.join("\n")))
        })
    }

    /// The fingerprint with this text, if such a key is on the ring.
    #[must_use]
    pub fn fingerprint(&self, text: &str) -> Option<&Fingerprint> {
        self.keys.iter().map(|key| key.fingerprint()).find(|fingerprint| fingerprint.as_str() == text)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn rank(key: &SealingKey) -> (Timestamp, &Fingerprint) {
    (key.order_time(), key.fingerprint())
}

fn field(secret: &Secret, name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let value = secret.data.as_ref()?.get(name)?;
    (!value.0.is_empty()).then(|| Zeroizing::new(value.0.clone()))
}

fn certificate_of(secret: &Secret, key_pair: &KeyPair) -> Result<SealingCertificate, CertificateProblem> {
    let pem = field(secret, CERTIFICATE_FIELD).ok_or(CertificateProblem::Missing)?;
    let certificate = SealingCertificate::from_pem(&pem)?;
    if certificate.public_key() != key_pair.public_key() {
        return Err(CertificateProblem::Mismatch);
    }
    Ok(certificate)
}

fn effective_not_before(certificate: Option<&SealingCertificate>, created: Option<Timestamp>) -> Timestamp {
    match (certificate.map(SealingCertificate::not_before), created) {
        (Some(start), Some(created)) if start.duration_since(created) > MAX_LEAD_OF_NOT_BEFORE => created,
        (Some(start), _) => start,
        (None, Some(created)) => created,
        (None, None) => Timestamp::UNIX_EPOCH,
    }
}
