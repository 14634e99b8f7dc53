//! Converts a Secret to a SealedSecret.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand::CryptoRng;
use sealed_secrets_crds::names::{KUBECFG_LAST_APPLIED_ANNOTATION, KUBECTL_LAST_APPLIED_ANNOTATION};
use sealed_secrets_crds::{Scope, SealedSecret, SealedSecretSpec, SecretTemplate};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::PublicKey;
use crate::crypto::envelope::{self, SealValueError};
use crate::label::Label;

/// Reason why a Secret cannot be sealed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SealError {
    /// The scope requires a namespace and the Secret has none; upstream's wording.
    #[error("secret must declare a namespace")]
    NoNamespace,
    /// An item cannot be encrypted.
    #[error("data[{key:?}]: {cause}")]
    Item {
        /// Key of the item.
        key: String,
        /// Error of its value.
        cause: SealValueError,
    },
}

/// Seals one value and returns base64 text (standard alphabet, padded) for `spec.encryptedData`.
///
/// # Errors
/// Returns an error if the value is longer than AES-GCM allows.
pub fn seal_value(
    rng: &mut impl CryptoRng,
    key: &PublicKey,
    label: &Label,
    value: &[u8],
) -> Result<String, SealValueError> {
    envelope::seal(rng, key, label, value).map(|item| STANDARD.encode(item))
}

/// Seals a whole Secret under the scope that its annotations select.
///
/// `stringData` overrides `data` for the same key. The SealedSecret gets name, namespace and scope annotation; the template gets
/// labels, other annotations, type and immutable, without the fields of a stored object (uid, resourceVersion and the like),
/// ownerReferences, finalizers, managedFields, and the annotations in which kubectl and kubecfg keep the plaintext
/// (docs/compatibility.md, section 4.3).
///
/// # Errors
/// Returns an error if the scope needs a namespace that the Secret does not declare, or an item is too long.
pub fn seal_secret(
    rng: &mut impl CryptoRng,
    key: &PublicKey,
    secret: Secret,
) -> Result<SealedSecret, SealError> {
    let scope = Scope::from_annotations(secret.metadata.annotations.as_ref());
    let name = secret.metadata.name.clone();
    let namespace = secret.metadata.namespace.clone().filter(|namespace| !namespace.is_empty());
    if namespace.is_none() && scope != Scope::ClusterWide {
        return Err(SealError::NoNamespace);
    }
    let label =
        Label::new(scope, namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default());
    let mut encrypted_data = BTreeMap::new();
    for (item, value) in items(secret.data, secret.string_data) {
        let sealed = seal_value(rng, key, &label, &value);
        let sealed = sealed.map_err(|cause| SealError::Item { key: item.clone(), cause })?;
        encrypted_data.insert(item, sealed);
    }
    let template = SecretTemplate {
        metadata: Some(template_metadata(secret.metadata)),
        type_: secret.type_.filter(|kind| !kind.is_empty()),
        immutable: secret.immutable,
        data: None,
    };
    let mut sealed = SealedSecret::new("", SealedSecretSpec { template, data: None, encrypted_data });
    sealed.metadata =
        ObjectMeta { name, namespace, annotations: scope_annotations(scope), ..ObjectMeta::default() };
    Ok(sealed)
}

fn items(
    data: Option<BTreeMap<String, k8s_openapi::ByteString>>,
    string_data: Option<BTreeMap<String, String>>,
) -> BTreeMap<String, Zeroizing<Vec<u8>>> {
    let binary = data.unwrap_or_default().into_iter().map(|(key, value)| (key, Zeroizing::new(value.0)));
    let text = string_data.unwrap_or_default().into_iter();
    binary.chain(text.map(|(key, value)| (key, Zeroizing::new(value.into_bytes())))).collect()
}

fn template_metadata(metadata: ObjectMeta) -> ObjectMeta {
    let mut annotations = metadata.annotations.unwrap_or_default();
    annotations.remove(KUBECTL_LAST_APPLIED_ANNOTATION);
    annotations.remove(KUBECFG_LAST_APPLIED_ANNOTATION);
    ObjectMeta {
        annotations: (!annotations.is_empty()).then_some(annotations),
        generate_name: metadata.generate_name,
        labels: metadata.labels,
        name: metadata.name,
        namespace: metadata.namespace,
        ..ObjectMeta::default()
    }
}

fn scope_annotations(scope: Scope) -> Option<BTreeMap<String, String>> {
    scope.annotation().map(|name| BTreeMap::from([(name.to_owned(), "true".to_owned())]))
}
