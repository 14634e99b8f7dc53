//! The sealing keys of the installation.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt as _};
use sealed_secrets_core::crypto::{CertificateRequest, KeyPair, KeySize};
use sealed_secrets_crds::names::{SEALING_KEY_ACTIVE, SEALING_KEY_LABEL};
use sealed_secrets_tests::{Error, Result};

use crate::bench::machine::cores;

const PREFIX: &str = "bench-key-";
const PRIVATE_KEY: &str = "tls.key";
const CERTIFICATE: &str = "tls.crt";

/// The key that the controller has created, PEM.
///
/// # Errors
/// When there is none.
pub(super) async fn private_key(client: &Client, namespace: &str) -> Result<Vec<u8>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let found = secrets.list(&ListParams::default().labels(SEALING_KEY_LABEL)).await?;
    let mut fields = found.items.into_iter().filter_map(|secret| secret.data);
    let key = fields.find_map(|mut fields| fields.remove(PRIVATE_KEY));
    key.map(|key| key.0).ok_or_else(|| Error::Invalid(format!("no sealing key in {namespace}")))
}

/// Generates `count` keys, and stores them as newer ones.
///
/// # Errors
/// When the API server refuses.
pub(super) async fn add(client: &Client, namespace: &str, count: usize) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let made = stream::iter(0..count).map(|number| tokio::task::spawn_blocking(move || key_secret(number)));
    let stored =
        made.buffer_unordered(cores()).map(|made| made.map_err(|error| Error::Invalid(error.to_string()))?);
    stored
        .try_for_each(async |secret| {
            secrets.create(&PostParams::default(), &secret).await?;
            Ok(())
        })
        .await
}

/// Removes the keys of [`add`].
///
/// # Errors
/// When the API server refuses.
pub(super) async fn remove(client: &Client, namespace: &str) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    for secret in secrets.list_metadata(&ListParams::default().labels(SEALING_KEY_LABEL)).await? {
        if secret.name_any().starts_with(PREFIX) {
            secrets.delete(&secret.name_any(), &DeleteParams::default()).await?;
        }
    }
    Ok(())
}

fn key_secret(number: usize) -> Result<Secret> {
    let invalid = |error: &dyn std::error::Error| Error::Invalid(error.to_string());
    let key = KeyPair::generate(KeySize::Rsa4096).map_err(|error| invalid(&error))?;
    let request = CertificateRequest {
        common_name: String::new(),
        not_before: Timestamp::now(),
        validity: SignedDuration::from_hours(24),
        serial: rand::random(),
    };
    let certificate = request.self_sign(&key).map_err(|error| invalid(&error))?;
    let private = key.expose_pkcs1_pem().map_err(|error| invalid(&error))?;
    let field = |name: &str, value: &str| (name.to_owned(), ByteString(value.as_bytes().to_vec()));
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(format!("{PREFIX}{number}")),
            labels: Some(BTreeMap::from([(SEALING_KEY_LABEL.to_owned(), SEALING_KEY_ACTIVE.to_owned())])),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(BTreeMap::from([field(PRIVATE_KEY, &private), field(CERTIFICATE, certificate.pem())])),
        ..Secret::default()
    })
}
