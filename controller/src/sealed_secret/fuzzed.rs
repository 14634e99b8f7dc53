//! The body of the fuzz target `sealed_secret`.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use sealed_secrets_core::opening::{V1Data, open_all};
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, UnsealError};

use super::desired::{desired, refuse_denied_type, refuse_key_planting};
use super::folded::{self, Folded, Whole};
use crate::error::Failure;
use crate::fuzzed::RING;
use crate::surroundings::Surroundings;

/// What the valid inputs seal.
const PLAINTEXT: &str = "hunter2-in-the-clear";

/// Any text as an object that an API server without validation sends: it is decoded and opened, or refused with words that do not
/// tell what was sealed.
///
/// # Panics
/// Where it is not.
pub fn sealed_secret(input: &[u8]) {
    let Ok(Whole(whole)) = serde_json::from_slice(input) else { return };
    let folded = serde_json::from_slice::<Folded>(input);
    assert!(folded.is_ok_and(|Folded(folded)| tells_the_same(&folded, &whole)));
    let Err(failure) = secret_of(&whole) else { return };
    let words = failure.condition_message();
    assert!(!words.contains(PLAINTEXT) || String::from_utf8_lossy(input).contains(PLAINTEXT), "{words}");
}

fn tells_the_same(folded: &DynamicObject, whole: &DynamicObject) -> bool {
    let (of_folded, of_whole) = (folded::type_of_secret(folded), folded::type_of_secret(whole));
    folded::status(folded) == folded::status(whole)
        && folded::has_v1_data(folded) == folded::has_v1_data(whole)
        && (of_folded == of_whole || of_folded.is_none())
        && folded.uid() == whole.uid()
}

fn secret_of(object: &DynamicObject) -> Result<(), Failure> {
    let sealed = folded::decode(object)?;
    let Some(ring) = &*RING else { return Ok(()) };
    let content = open_all(&sealed, ring, V1Data::Accepted).map_err(UnsealError::from)?;
    let budget = Budget { steps: 50_000, costly: 0, ..Budget::default() };
    let mut renderer = Renderer { budget: &budget, sources: &mut Surroundings::from_now() };
    let secret = desired(&sealed, content, &mut renderer)?.secret;
    assert_eq!((&secret.metadata.name, secret.namespace()), (&sealed.metadata.name, sealed.namespace()));
    refuse_key_planting(&secret, "kube-system", &["sealed-secrets-key".to_owned()])?;
    refuse_denied_type(&secret, &BTreeSet::from(["bootstrap.kubernetes.io/token".to_owned()]))
}
