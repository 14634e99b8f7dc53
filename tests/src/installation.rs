//! The shipped manifests, applied to a control plane.

use std::path::PathBuf;
use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, discovery};
use serde_json::Value;

use crate::control_plane::Access;
use crate::error::{Error, Result};
use crate::grants::until_granted;
use crate::manifests::{Manifests, Reach, kind_of};
use crate::poll::until;
use crate::programs::UpstreamPrograms;
use crate::served::until_served;
use crate::workspace;

/// The field manager of the objects that the harness applies.
pub(crate) const MANAGER: &str = "sealed-secrets-tests";

const PATIENCE: Duration = Duration::from_secs(30);

/// Environment variable: the program of a former version of our controller.
const FORMER: &str = "HARNESS_FORMER";

/// The origin of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// Built from this workspace.
    Ours,
    /// Our controller in the version that [`FORMER`] names; without it, the one of this workspace.
    Former,
    /// The original.
    Upstream,
}

impl Edition {
    pub(crate) fn controller(self) -> Result<PathBuf> {
        match self {
            Self::Ours => workspace::built_program("controller"),
            Self::Former => match std::env::var_os(FORMER) {
                Some(program) => Ok(program.into()),
                None => workspace::built_program("controller"),
            },
            Self::Upstream => Ok(UpstreamPrograms::prepare()?.controller),
        }
    }

    /// The program `kubeseal` of this edition.
    ///
    /// # Errors
    /// [`Error::Missing`] when it was not built.
    pub fn kubeseal(self) -> Result<PathBuf> {
        match self {
            Self::Ours | Self::Former => workspace::built_program("kubeseal"),
            Self::Upstream => Ok(UpstreamPrograms::prepare()?.kubeseal),
        }
    }
}

/// A namespace in which a controller can start: account, permissions, Service and CRDs exist.
#[derive(Clone)]
pub struct Installation {
    pub(crate) client: Client,
    pub(crate) access: Access,
    pub(crate) reach: Reach,
    pub(crate) manifests: Manifests,
    namespace: String,
}

impl Installation {
    pub(crate) async fn apply(
        client: Client,
        access: &Access,
        namespace: &str,
        reach: Reach,
    ) -> Result<Self> {
        Self::apply_all(client, access, namespace, reach, Manifests::shipped()?).await
    }

    pub(crate) async fn apply_all(
        client: Client,
        access: &Access,
        namespace: &str,
        reach: Reach,
        manifests: Manifests,
    ) -> Result<Self> {
        for object in manifests.placed(namespace, &reach) {
            apply(&client, &object).await?;
        }
        Ok(Self::present(client, access, namespace, reach, manifests))
    }

    pub(crate) fn present(
        client: Client,
        access: &Access,
        namespace: &str,
        reach: Reach,
        manifests: Manifests,
    ) -> Self {
        Self { client, access: access.clone(), reach, manifests, namespace: namespace.to_owned() }
    }

    /// The namespace of the controller.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// Asks the API server in a dry run if it accepts this object; the error has its reason.
pub(crate) async fn dry_run(client: &Client, object: &Value) -> Result<()> {
    let dynamic = dynamic(object)?;
    let name = dynamic.metadata.name.clone().unwrap_or_default();
    let parameters = PatchParams { dry_run: true, ..PatchParams::apply(MANAGER).force() };
    let parameters = parameters.validation_strict();
    api_for(client, &dynamic).await?.patch(&name, &parameters, &Patch::Apply(object)).await?;
    Ok(())
}

fn dynamic(object: &Value) -> Result<DynamicObject> {
    serde_json::from_value(object.clone()).map_err(|error| {
        Error::Invalid(format!("a shipped {} is not a Kubernetes object: {error}", kind_of(object)))
    })
}

/// Applies one object and waits until it can be used.
pub(crate) async fn apply(client: &Client, object: &Value) -> Result<()> {
    let dynamic = dynamic(object)?;
    let name = dynamic.metadata.name.clone().unwrap_or_default();
    let api = api_for(client, &dynamic).await?;
    let parameters = PatchParams::apply(MANAGER).force();
    let attempt = async || match api.patch(&name, &parameters, &Patch::Apply(object)).await {
        // Another test created the same cluster-scoped object at the same time.
        Err(kube::Error::Api(status)) if status.code == 409 => None,
        result => Some(result),
    };
    until(&format!("{} {name} can be applied", kind_of(object)), PATIENCE, attempt).await??;
    match kind_of(object) {
        "CustomResourceDefinition" => until_served(client, &name).await,
        "RoleBinding" | "ClusterRoleBinding" => until_granted(client, object).await,
        _ => Ok(()),
    }
}

async fn api_for(client: &Client, object: &DynamicObject) -> Result<Api<DynamicObject>> {
    let types = object.types.as_ref().ok_or_else(|| Error::Invalid("a shipped object has no kind".into()))?;
    let kind = GroupVersionKind::try_from(types).map_err(|error| Error::Invalid(error.to_string()))?;
    let (resource, _) = discovery::pinned_kind(client, &kind).await?;
    Ok(match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    })
}
