//! Body of the fuzz target `sealed_secret`.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use sealed_secrets_core::decryption::{V1Data, decrypt_all};
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, UnsealError};
use sealed_secrets_crds::SealedSecret;

use super::secret::desired::{desired, refuse_denied_type, refuse_key_planting};
use super::watch::raw::{self, RawSealedSecret};
use crate::error::Failure;
use crate::fuzzed::RING;
use crate::template_sources::TemplateSources;

/// Plaintext of the valid inputs.
const PLAINTEXT: &str = "hunter2-in-the-clear";

/// Decodes and decrypts a text as an object of an API server without validation. A failure does not contain the plaintext.
///
/// # Panics
/// If it does, or if the object without its spec has other properties than the whole one.
pub fn sealed_secret(input: &[u8]) {
    let Ok(kept) = serde_json::from_slice::<RawSealedSecret>(input) else { return };
    let bare = kept.clone().without_spec();
    assert!(is_equivalent(&bare, &kept), "{bare:?} of {kept:?}");
    let whole = serde_json::from_slice(input).map(raw::UnabridgedSealedSecret::decode);
    assert!(whole.is_ok(), "kept, and cannot be fetched: {kept:?}");
    let Ok(decoded) = whole else { return };
    if kept.has_spec() {
        assert_eq!(kept.decode().ok(), decoded.as_ref().ok().cloned());
    }
    let Err(failure) = decoded.and_then(|sealed| secret_of(&sealed)) else { return };
    let message = failure.condition_message();
    assert!(!message.contains(PLAINTEXT) || String::from_utf8_lossy(input).contains(PLAINTEXT), "{message}");
}

/// Compares what the two say of the object. A type that is too long is not kept.
fn is_equivalent(bare: &RawSealedSecret, kept: &RawSealedSecret) -> bool {
    let (of_bare, of_kept) = (bare.type_of_secret(), kept.type_of_secret());
    bare.status() == kept.status()
        && bare.has_v1_data() == kept.has_v1_data()
        && bare.has_templates() == kept.has_templates()
        && (of_bare == of_kept || of_bare.is_none())
        && bare.uid() == kept.uid()
}

fn secret_of(sealed: &SealedSecret) -> Result<(), Failure> {
    let Some(ring) = &*RING else { return Ok(()) };
    let content = decrypt_all(sealed, ring, V1Data::Accepted).map_err(UnsealError::from)?;
    let budget = Budget { steps: 50_000, costly: 0, ..Budget::default() };
    let mut renderer = Renderer { budget: &budget, sources: &mut TemplateSources::from_now() };
    let secret = desired(sealed, content, &mut renderer)?.secret;
    assert_eq!((&secret.metadata.name, secret.namespace()), (&sealed.metadata.name, sealed.namespace()));
    refuse_key_planting(&secret, "kube-system", &["sealed-secrets-key".to_owned()])?;
    refuse_denied_type(&secret, &BTreeSet::from(["bootstrap.kubernetes.io/token".to_owned()]))
}
