//! Converts a SealedSecret to a Secret.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sealed_secrets_crds::names::{
    SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND, SKIP_SET_OWNER_REFERENCES_ANNOTATION,
};
use sealed_secrets_crds::{SealedSecret, SecretTemplate};
use thiserror::Error;

pub use crate::decryption::V1Data;
use crate::decryption::{Content, DecryptedItems, DecryptionError, decrypt_all};
use crate::keyring::KeyRing;
use crate::template::{Budget, Rendered, Sources, TemplateError, render_secret};

/// Reason why an object cannot be converted. No variant carries plaintext.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UnsealError {
    /// An item does not decrypt.
    #[error("{0}")]
    Decryption(#[from] DecryptionError),
    /// The deprecated `spec.data` decrypts to something other than a Secret.
    #[error("the deprecated 'data' field does not hold a Secret as JSON")]
    V1NotASecret,
    /// A template of `spec.template.data` fails.
    #[error("spec.{0}")]
    Template(#[from] TemplateError),
}

/// Limits of template rendering, and its sources of time and randomness.
pub struct Renderer<'a> {
    /// Limits on the templates of one object.
    pub budget: &'a Budget,
    /// Clock, time zones and randomness.
    pub sources: &'a mut dyn Sources,
}

/// Result of unsealing an object.
pub struct Unsealed {
    /// The Secret.
    pub secret: Secret,
    /// Data keys whose values change with each rendering, because their templates use the clock or randomness.
    pub volatile: BTreeSet<String>,
}

/// Returns the Secret that a SealedSecret describes: [`decrypt_all`], then [`secret_of`].
///
/// # Errors
/// Returns an error if an item does not decrypt or a template does not render; there is no partial result.
pub fn unseal(
    sealed: &SealedSecret,
    ring: &KeyRing,
    v1_data: V1Data,
    renderer: &mut Renderer<'_>,
) -> Result<Unsealed, UnsealError> {
    secret_of(sealed, decrypt_all(sealed, ring, v1_data)?, renderer)
}

/// Builds the Secret that `sealed` describes from its decrypted content (docs/compatibility.md, section 4.4): labels, annotations,
/// type and immutable of the template, the items and rendered templates, and name and namespace of the SealedSecret. The
/// SealedSecret becomes its owner if it has a uid, unless the template disables that. ownerReferences and finalizers of a template
/// are ignored.
///
/// # Errors
/// Returns an error if a template does not render; there is no partial result.
pub fn secret_of(
    sealed: &SealedSecret,
    content: Content,
    renderer: &mut Renderer<'_>,
) -> Result<Unsealed, UnsealError> {
    let mut unsealed = match content {
        Content::Items(items) => from_items(&sealed.spec.template, items, renderer)?,
        Content::V1(secret) => Unsealed { secret: from_v1(&secret)?, volatile: BTreeSet::new() },
    };
    let metadata = &mut unsealed.secret.metadata;
    metadata.name.clone_from(&sealed.metadata.name);
    metadata.namespace.clone_from(&sealed.metadata.namespace);
    metadata.owner_references = owner_references(sealed);
    Ok(unsealed)
}

fn from_items(
    template: &SecretTemplate,
    items: DecryptedItems,
    renderer: &mut Renderer<'_>,
) -> Result<Unsealed, UnsealError> {
    let Rendered { data, volatile } = match template.data.as_ref().filter(|templates| !templates.is_empty()) {
        Some(templates) => render_secret(templates, &items, renderer.budget, renderer.sources)?,
        None => Rendered { data: items, volatile: BTreeSet::new() },
    };
    // The plaintext is copied from wiped buffers into the API type, which is not wiped.
    let data =
        data.into_iter().map(|(key, mut value)| (key, ByteString(std::mem::take(&mut *value)))).collect();
    let secret = Secret {
        metadata: kept_metadata(template.metadata.clone().unwrap_or_default()),
        type_: template.type_.clone().filter(|kind| !kind.is_empty()),
        immutable: template.immutable,
        data: Some(data),
        string_data: None,
    };
    Ok(Unsealed { secret, volatile })
}

fn from_v1(plaintext: &[u8]) -> Result<Secret, UnsealError> {
    // The cause is dropped: serde_json quotes its input.
    let secret: Secret = serde_json::from_slice(plaintext).map_err(|_| UnsealError::V1NotASecret)?;
    Ok(Secret { metadata: kept_metadata(secret.metadata), ..secret })
}

fn kept_metadata(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta { labels: metadata.labels, annotations: metadata.annotations, ..ObjectMeta::default() }
}

fn owner_references(sealed: &SealedSecret) -> Option<Vec<OwnerReference>> {
    let template = sealed.spec.template.metadata.as_ref();
    let annotation = template
        .and_then(|metadata| metadata.annotations.as_ref()?.get(SKIP_SET_OWNER_REFERENCES_ANNOTATION));
    if annotation.is_some_and(|value| value == "true") {
        return None;
    }
    let owner = OwnerReference {
        api_version: SEALED_SECRET_API_VERSION.to_owned(),
        kind: SEALED_SECRET_KIND.to_owned(),
        name: sealed.metadata.name.clone().unwrap_or_default(),
        uid: sealed.metadata.uid.clone().filter(|uid| !uid.is_empty())?,
        controller: Some(true),
        block_owner_deletion: None,
    };
    Some(vec![owner])
}
