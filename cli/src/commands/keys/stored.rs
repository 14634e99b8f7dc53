//! The key Secrets of a cluster, whatever their phase.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use sealed_secrets_core::keyring::{CertificateProblem, KeySecretError, OrderBy, RingKey, join_lists};
use sealed_secrets_crds::names::{
    KUBECFG_LAST_APPLIED_ANNOTATION, KUBECTL_LAST_APPLIED_ANNOTATION, SEALING_KEY_LABEL,
};

use crate::api::ApiServer;
use crate::error::{KeysError, Refusal};

/// Lists all Secrets with the label of sealing keys, and the one named like `prefix`, which upstream's first versions created without
/// the label. Sorted by name.
///
/// # Errors
/// When they cannot be listed.
pub(super) fn key_secrets(api: &ApiServer, prefix: &str) -> Result<Vec<Secret>, KeysError> {
    let secrets = api.secrets();
    let labelled = ListParams::default().labels(SEALING_KEY_LABEL);
    // A list, because a role that may list Secrets may lack the permission to get one.
    let legacy = ListParams::default().fields(&format!("metadata.name={prefix}"));
    let listed = api
        .runtime
        .block_on(async { Ok((list(&secrets, &labelled).await?, list(&secrets, &legacy).await?)) });
    let refused = |error: kube::Error| {
        KeysError::of("list key Secrets", "Secret", &api.namespace, Refusal::from(error))
    };
    let (labelled, legacy) = listed.map_err(refused)?;
    let mut secrets = join_lists(labelled, legacy);
    secrets.sort_by_key(kube::ResourceExt::name_any);
    Ok(secrets)
}

async fn list(secrets: &Api<Secret>, which: &ListParams) -> Result<Vec<Secret>, kube::Error> {
    secrets.list(which).await.map(|list| list.items)
}

/// The Secret in a form that can be created again in `namespace`: without the fields of the API server and without the annotations that
/// repeat the whole object.
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

/// The value of the label; `active` for the legacy Secret without one.
pub(super) fn label(secret: &Secret) -> &str {
    secret.labels().get(SEALING_KEY_LABEL).map_or("active", String::as_str)
}

/// Parses the key and checks that the certificate belongs to it.
///
/// # Errors
/// The problem, without key material.
pub(super) fn usable_key(secret: &Secret) -> Result<RingKey, String> {
    let key = RingKey::from_secret(secret, OrderBy::CertNotBefore)
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
