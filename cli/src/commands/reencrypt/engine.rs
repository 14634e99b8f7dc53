//! The place where items are decrypted and encrypted again: the controller, or this process.

use sealed_secrets_core::crypto::{Fingerprint, PublicKey};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::re_encrypt::{Renewal, re_encrypt};
use sealed_secrets_core::unseal::V1Data;

use super::controller::Controller;
use super::plan::{Job, Renewed, RenewedBatch};
use crate::workflow::processors;

/// Requests to a controller that run at the same time.
const REQUESTS: usize = 2;

/// Decrypts and encrypts.
pub(super) enum Engine<'e> {
    Controller(Controller<'e>),
    Here { ring: &'e KeyRing, newest: &'e PublicKey },
}

impl Engine<'_> {
    /// The newest key, as far as it is known.
    pub(super) fn newest(&self) -> Option<&Fingerprint> {
        match self {
            Self::Controller(controller) => controller.newest(),
            Self::Here { newest, .. } => Some(newest.fingerprint()),
        }
    }

    /// True if a renewal encrypts stale items only.
    pub(super) fn renews_stale_only(&self) -> bool {
        match self {
            Self::Controller(controller) => controller.renews_stale_only(),
            Self::Here { .. } => true,
        }
    }

    /// The number of calls of [`Self::renew`] that run at the same time.
    pub(super) fn workers(&self) -> usize {
        match self {
            Self::Controller(_) => REQUESTS,
            Self::Here { .. } => processors(),
        }
    }

    /// Encrypts the stale items of these objects again.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub(super) fn renew(&self, jobs: &[Job]) -> Result<RenewedBatch, String> {
        match self {
            Self::Controller(controller) => controller.renew(jobs),
            Self::Here { ring, newest } => Ok(RenewedBatch {
                key: Some(newest.fingerprint().clone()),
                objects: jobs.iter().map(|job| renew_here(ring, newest, job)).collect(),
            }),
        }
    }
}

fn renew_here(ring: &KeyRing, newest: &PublicKey, job: &Job) -> Renewed {
    let random = &mut rand::rng();
    let stale = re_encrypt(random, &job.sealed, ring, V1Data::Refused, Renewal::Stale(newest), &|| true);
    stale
        .map(|stale| stale.encrypted_data)
        .ok_or_else(|| "does not decrypt with the keys of --private-key".to_owned())
}
