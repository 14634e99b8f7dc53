//! What tests use: a control plane, shared or their own.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::control_plane::{Access, ControlPlane};
use crate::error::{Error, Result};
use crate::installation::{self, Installation, Reach};
use crate::manifests::Manifests;
use crate::programs::ControlPlanePrograms;
use crate::workspace;

/// Names the folder of the control plane that all tests of a run share.
pub const SHARED: &str = "HARNESS_CLUSTER";

/// Further control planes cost some 700 MB each: a few at a time. One at a time would make these tests the longest part of a run.
static OWN: Semaphore = Semaphore::const_new(2);

/// A control plane as an administrator sees it.
pub struct Cluster {
    client: Client,
    access: Access,
    own: Option<(ControlPlane, SemaphorePermit<'static>)>,
}

impl Cluster {
    /// The control plane that all tests of the run share. Tests keep to namespaces of their own.
    ///
    /// # Errors
    /// When no control plane was started for this run.
    pub async fn shared() -> Result<Self> {
        let folder = std::env::var_os(SHARED).map(PathBuf::from).ok_or_else(|| {
            Error::Invalid(
                "no control plane to test on: use `cargo xtask test`, or `cargo test` in the shell of `cargo xtask cluster`"
                    .into(),
            )
        })?;
        Self::at(&Access::load(&folder)?).await
    }

    /// A control plane that somebody else keeps.
    ///
    /// # Errors
    /// When its kubeconfig is gone.
    pub async fn at(access: &Access) -> Result<Self> {
        Ok(Self { client: access.client().await?, access: access.clone(), own: None })
    }

    /// A control plane for this test alone, for what concerns a whole cluster. It takes seconds: most tests share.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn own() -> Result<Self> {
        let turn = OWN.acquire().await.map_err(|closed| Error::Invalid(closed.to_string()))?;
        let plane = ControlPlane::start_audited(&ControlPlanePrograms::prepare()?).await?;
        let cluster = Self::at(plane.access()).await?;
        Ok(Self { own: Some((plane, turn)), ..cluster })
    }

    /// Kills the API server of a control plane of its own and starts it again on the same data.
    ///
    /// # Errors
    /// When the control plane is shared, or its API server does not come back.
    pub async fn restart_apiserver(&mut self) -> Result<()> {
        match &mut self.own {
            Some((plane, _)) => plane.restart_apiserver().await,
            None => Err(Error::Invalid("a shared API server is not to be restarted".into())),
        }
    }

    /// From now on nothing is deleted because its owner is gone, and no namespace ends.
    ///
    /// # Errors
    /// When the control plane is shared.
    pub fn stop_garbage_collection(&mut self) -> Result<()> {
        match &mut self.own {
            Some((plane, _)) => plane.stop_garbage_collection(),
            None => return Err(Error::Invalid("others need the garbage collection of this cluster".into())),
        }
        Ok(())
    }

    /// Stops etcd in the middle of what it does, or lets it go on.
    ///
    /// # Errors
    /// When the control plane is shared, or etcd has ended.
    pub fn pause_etcd(&self, is_paused: bool) -> Result<()> {
        match &self.own {
            Some((plane, _)) => plane.pause_etcd(is_paused),
            None => Err(Error::Invalid("others need the etcd of this cluster".into())),
        }
    }

    /// An administrator's client.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// How programs reach the API server.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// An administrator's kubeconfig file.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.access.kubeconfig()
    }

    /// A new namespace whose name begins with `prefix`.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let namespaces: Api<Namespace> = Api::all(self.client());
        let metadata = ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        Ok(namespaces.create(&PostParams::default(), &namespace).await?.name_any())
    }

    /// Applies `deploy/kustomize/base` with `namespace` (which exists) in place of `kube-system`.
    ///
    /// # Errors
    /// When a manifest cannot be read or the API server refuses one.
    pub async fn install(&self, namespace: &str, reach: Reach) -> Result<Installation> {
        Installation::apply(self.client(), &self.access, namespace, reach).await
    }

    /// As [`Self::install`], on the CRD and the rights in this folder of the repository in place of the shipped ones. For a
    /// control plane of its own.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub async fn install_on(&self, folder: &str, namespace: &str, reach: Reach) -> Result<Installation> {
        let manifests = Manifests::shipped()?.on_existing(&workspace::root().join(folder))?;
        Installation::apply_all(self.client(), &self.access, namespace, reach, manifests).await
    }

    /// The installation that somebody else made of these objects in `namespace`, such as Helm.
    #[must_use]
    pub fn installed(&self, objects: Vec<Value>, namespace: &str, reach: Reach) -> Installation {
        Installation::present(self.client(), &self.access, namespace, reach, Manifests::of(objects))
    }

    /// Applies these objects as they are.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub async fn apply(&self, objects: &[Value]) -> Result<()> {
        for object in objects {
            installation::apply(&self.client, object).await?;
        }
        Ok(())
    }

    /// Asks the API server whether it would take this object, every field of it. Nothing changes.
    ///
    /// # Errors
    /// With the API server's reason when it would not.
    pub async fn would_take(&self, object: &Value) -> Result<()> {
        installation::dry_run(&self.client, object).await
    }

    /// A controller's installation in a new namespace, for that namespace and the `additional` ones only.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub async fn install_namespaced(&self, additional: &[&str]) -> Result<Installation> {
        let namespace = self.namespace("sealed").await?;
        let additional = additional.iter().map(|&name| name.to_owned()).collect();
        self.install(&namespace, Reach::Namespaces { additional }).await
    }

    /// The folder with the logs of the control plane.
    #[must_use]
    pub fn logs(&self) -> &Path {
        self.access.folder()
    }
}
