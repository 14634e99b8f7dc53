//! Waiting for new kinds: a CRD exists some time before its objects can be created.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};

use crate::error::Result;
use crate::poll::until;

const PATIENCE: Duration = Duration::from_mins(1);

/// Returns when the API server accepts and lists objects of the kind that the CRD `name` defines.
///
/// # Errors
/// When that takes too long.
pub async fn until_served(client: &Client, name: &str) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let served = async || {
        let definition = definitions.get(name).await.ok()?;
        is_established(&definition).then_some(())?;
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource(&definition)?);
        objects.list(&ListParams::default().limit(1)).await.ok().map(drop)
    };
    until(&format!("the CRD {name} is served"), PATIENCE, served).await
}

fn is_established(definition: &CustomResourceDefinition) -> bool {
    let conditions = definition.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
    })
}

fn resource(definition: &CustomResourceDefinition) -> Option<ApiResource> {
    let spec = &definition.spec;
    let version = spec.versions.iter().find(|version| version.served)?;
    let kind = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
    Some(ApiResource::from_gvk_with_plural(&kind, &spec.names.plural))
}
