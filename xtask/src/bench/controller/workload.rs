//! SealedSecrets for measurements: the same objects, created anew for each program.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject, ListParams, ObjectMeta, PostParams};
use sealed_secrets_core::crypto::SealingCertificate;
use sealed_secrets_core::label::Label;
use sealed_secrets_core::seal::{seal_secret, seal_value};
use sealed_secrets_crds::Scope;
use sealed_secrets_crds::names::{CLUSTER_WIDE_ANNOTATION, SEALED_SECRET_API_VERSION, SEALED_SECRET_KIND};
use sealed_secrets_tests::{Error, Result, until};
use serde_json::json;

use super::api::View;
use super::process::until_quiet;

/// Items of each object.
pub(super) const ITEMS: usize = 2;

const IN_FLIGHT: usize = 16;
const TIMEOUT: Duration = Duration::from_mins(15);

/// A set of SealedSecrets, sealed but not necessarily created yet.
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

    /// Seals one item and puts it `items` times into each of `count` objects of the namespace: decrypting them costs as much as
    /// decrypting different items.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub(super) fn repeat(
        view: &View,
        namespace: &str,
        certificate: &str,
        (count, items): (usize, usize),
    ) -> Result<Self> {
        let invalid = |error: &dyn std::error::Error| Error::Invalid(error.to_string());
        let certificate =
            SealingCertificate::from_pem(certificate.as_bytes()).map_err(|error| invalid(&error))?;
        let label = Label::new(Scope::ClusterWide, namespace, "any");
        let item = seal_value(&mut rand::rng(), certificate.public_key(), &label, b"value");
        let item = item.map_err(|error| invalid(&error))?;
        let items: BTreeMap<_, _> = (0..items).map(|number| (format!("item-{number}"), &item)).collect();
        let annotations = json!({CLUSTER_WIDE_ANNOTATION: "true"});
        let object = |number: usize| {
            let object = json!({
                "apiVersion": SEALED_SECRET_API_VERSION, "kind": SEALED_SECRET_KIND,
                "metadata": {
                    "name": format!("many-items-{number}"), "namespace": namespace, "annotations": annotations
                },
                "spec": {"encryptedData": items, "template": {"metadata": {"annotations": annotations}}}
            });
            serde_json::from_value(object).map_err(|error| invalid(&error))
        };
        Ok(Self { view: view.clone(), objects: (0..count).map(object).collect::<Result<_>>()? })
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

    /// Removes the objects of earlier measurements, creates the workload, and waits until the control plane is idle.
    ///
    /// # Errors
    /// When the API server refuses, or does not become idle.
    pub(super) async fn create_anew(&self) -> Result<()> {
        self.remove().await?;
        self.create().await?;
        until_quiet().await
    }

    /// Creates the objects without waiting.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(super) async fn create(&self) -> Result<()> {
        let api = self.view.sealed_secrets();
        let parameters = PostParams::default();
        let created = stream::iter(&self.objects).map(|object| api.create(&parameters, object));
        Ok(created.buffer_unordered(IN_FLIGHT).try_for_each(async |_| Ok(())).await?)
    }

    /// Removes SealedSecrets, Secrets and events of the namespace.
    ///
    /// # Errors
    /// When the API server refuses, or does not become idle.
    pub(super) async fn remove(&self) -> Result<()> {
        // The API server ends a request after a minute, which is too short for many objects.
        let removed = async || {
            self.delete_all().await.ok()?;
            self.is_empty().await.ok()?.then_some(())
        };
        until("everything is removed", TIMEOUT, removed).await?;
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
