//! SealedSecrets to measure with: the same ones, created anew for each program.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject, ListParams, ObjectMeta, PostParams};
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::seal::seal_secret;
use sealed_secrets_tests::{Error, Result, until};

use super::api::View;
use super::process::until_quiet;

/// Items of each object.
pub(super) const ITEMS: usize = 2;

const IN_FLIGHT: usize = 16;
const PATIENCE: Duration = Duration::from_mins(15);

/// Objects that exist on paper until they are created.
pub(super) struct Workload {
    view: View,
    objects: Vec<DynamicObject>,
}

impl Workload {
    /// Seals `count` Secrets whose names begin with `prefix`.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub(super) fn seal(
        view: &View,
        namespace: &str,
        certificate: &str,
        prefix: &str,
        count: usize,
    ) -> Result<Self> {
        let invalid = |error: &dyn std::error::Error| Error::Invalid(error.to_string());
        let certificate =
            SealingCertificate::from_pem(certificate.as_bytes()).map_err(|error| invalid(&error))?;
        let sealed = |number| {
            let secret = secret(namespace, &format!("{prefix}-{number:05}"));
            let sealed = seal_secret(&mut rand::rng(), certificate.public_key(), secret);
            let value = serde_json::to_value(sealed.map_err(|error| invalid(&error))?);
            value.and_then(serde_json::from_value).map_err(|error| invalid(&error))
        };
        Ok(Self { view: view.clone(), objects: (0..count).map(sealed).collect::<Result<_>>()? })
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn objects(&self) -> &[DynamicObject] {
        &self.objects
    }

    /// Removes everything of earlier measurements, creates the objects, and waits for quiet.
    ///
    /// # Errors
    /// When the API server refuses, or does not come to rest.
    pub(super) async fn create_anew(&self) -> Result<()> {
        self.remove().await?;
        let api = self.view.sealed_secrets();
        let parameters = PostParams::default();
        let created = stream::iter(&self.objects).map(|object| api.create(&parameters, object));
        created.buffer_unordered(IN_FLIGHT).try_for_each(async |_| Ok(())).await?;
        until_quiet().await
    }

    /// Removes SealedSecrets, Secrets and events of the namespace.
    ///
    /// # Errors
    /// When the API server refuses, or does not come to rest.
    pub(super) async fn remove(&self) -> Result<()> {
        // The API server gives up on a request after a minute, which is not enough for many objects.
        let removed = async || {
            self.delete_all().await.ok()?;
            self.is_empty().await.ok()?.then_some(())
        };
        until("everything is removed", PATIENCE, removed).await?;
        until_quiet().await
    }

    async fn delete_all(&self) -> Result<()> {
        let (all, parameters) = (ListParams::default(), DeleteParams::background());
        self.view.sealed_secrets().delete_collection(&parameters, &all).await?;
        self.view.secrets().delete_collection(&parameters, &all).await?;
        self.view.events().delete_collection(&parameters, &all).await?;
        Ok(())
    }

    async fn is_empty(&self) -> Result<bool> {
        Ok(self.view.count_sealed_secrets().await?
            + self.view.count_secrets().await?
            + self.view.count_events().await?
            == 0)
    }
}

fn secret(namespace: &str, name: &str) -> Secret {
    let item =
        |number| (format!("item-{number}"), ByteString(format!("value of {name} {number}").into_bytes()));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some((0..ITEMS).map(item).collect::<BTreeMap<_, _>>()),
        ..Secret::default()
    }
}
