//! The key Secrets of a cluster, whatever their phase.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use sealed_secrets_core::keyring::KeySecretError;
use sealed_secrets_core::keyring::{CertificateProblem, OrderBy, SealingKey};
use sealed_secrets_crds::names::{
    KUBECFG_LAST_APPLIED_ANNOTATION, KUBECTL_LAST_APPLIED_ANNOTATION, SEALING_KEY_LABEL,
};

use super::KeysError;
use crate::api::{ApiServer, Refusal};

/// All Secrets with the label of sealing keys, and the one named exactly like `prefix`, which upstream's first versions left
/// without label. By name.
///
/// # Errors
/// When they cannot be listed.
pub(super) fn key_secrets(api: &ApiServer, prefix: &str) -> Result<Vec<Secret>, KeysError> {
    let secrets = api.secrets();
    let labelled = ListParams::default().labels(SEALING_KEY_LABEL);
    // A list, because who may list these may not have the right to get one.
    let legacy = ListParams::default().fields(&format!("metadata.name={prefix}"));
    let listed = api
        .runtime
        .block_on(async { Ok((list(&secrets, &labelled).await?, list(&secrets, &legacy).await?)) });
    let refused = |error: kube::Error| {
        KeysError::of("list key Secrets", "Secret", &api.namespace, Refusal::from(error))
    };
    let (labelled, legacy) = listed.map_err(refused)?;
    let by_name: BTreeMap<String, Secret> =
        labelled.into_iter().chain(legacy).map(|secret| (secret.name_any(), secret)).collect();
    Ok(by_name.into_values().collect())
}

async fn list(secrets: &Api<Secret>, which: &ListParams) -> Result<Vec<Secret>, kube::Error> {
    secrets.list(which).await.map(|list| list.items)
}

/// The Secret as it can be created again, in `namespace`: what the API server adds is left out, and the annotations that repeat
/// the whole object.
pub(super) fn portable(secret: Secret, namespace: &str) -> Secret {
    let mut annotations = secret.metadata.annotations.unwrap_or_default();
    annotations.remove(KUBECTL_LAST_APPLIED_ANNOTATION);
    annotations.remove(KUBECFG_LAST_APPLIED_ANNOTATION);
    let metadata = ObjectMeta {
        name: secret.metadata.name,
        namespace: Some(namespace.to_owned()),
        labels: secret.metadata.labels,
        annotations: (!annotations.is_empty()).then_some(annotations),
        ..ObjectMeta::default()
    };
    Secret { metadata, ..secret }
}

/// What the label says; `active` for the legacy Secret, which has none.
pub(super) fn label(secret: &Secret) -> &str {
    secret.labels().get(SEALING_KEY_LABEL).map_or("active", String::as_str)
}

/// The key, readable and with its own certificate.
///
/// # Errors
/// What is wrong with it, without key material.
pub(super) fn usable_key(secret: &Secret) -> Result<SealingKey, String> {
    let key = SealingKey::from_secret(secret, OrderBy::CertNotBefore)
        .map_err(|cause: KeySecretError| cause.to_string())?;
    match key.problem() {
        Some(CertificateProblem::Missing) => Err("field data[\"tls.crt\"] is missing".to_owned()),
        Some(CertificateProblem::Unusable(cause)) => Err(format!("field data[\"tls.crt\"]: {cause}")),
        Some(CertificateProblem::Mismatch) => {
            Err("the certificate in data[\"tls.crt\"] is of another key than data[\"tls.key\"]".to_owned())
        }
        None => Ok(key),
    }
}
