//! Control planes for tests, shared or one of their own.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::control_plane::{Access, ControlPlane};
use crate::error::{Error, Result};
use crate::installation::{self, Installation};
use crate::manifests::Manifests;
use crate::manifests::Reach;
use crate::programs::ControlPlanePrograms;
use crate::workspace;

/// The variable that names the folder of the control plane that all tests of a run share.
pub const SHARED: &str = "HARNESS_CLUSTER";

/// A limit on additional control planes, which cost some 700 MB each. With one at a time these tests would be the longest part of
/// a run.
static OWN: Semaphore = Semaphore::const_new(2);

/// A control plane with an administrator's client.
pub struct Cluster {
    client: Client,
    access: Access,
    own: Option<(ControlPlane, SemaphorePermit<'static>)>,
}

impl Cluster {
    /// The control plane that all tests of the run share. Tests use namespaces of their own.
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

    /// A control plane that the caller keeps running.
    ///
    /// # Errors
    /// When its kubeconfig does not exist any more.
    pub async fn at(access: &Access) -> Result<Self> {
        Ok(Self { client: access.client().await?, access: access.clone(), own: None })
    }

    /// A control plane for this test alone, for tests that affect a whole cluster. It starts in seconds, so most tests share one.
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

    /// Stops garbage collection: dependents of deleted owners stay, and namespaces keep terminating.
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

    /// Pauses or resumes etcd.
    ///
    /// # Errors
    /// When the control plane is shared, or etcd has ended.
    pub fn pause_etcd(&self, is_paused: bool) -> Result<()> {
        match &self.own {
            Some((plane, _)) => plane.pause_etcd(is_paused),
            None => Err(Error::Invalid("others need the etcd of this cluster".into())),
        }
    }

    /// A client with an administrator's permissions.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The address and credentials of the API server.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// An administrator's kubeconfig file.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.access.kubeconfig()
    }

    /// Creates a namespace whose name begins with `prefix`.
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

    /// As [`Self::install`], but with the CRD and the permissions in this folder of the repository. For a control plane of its own.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub async fn install_on(&self, folder: &str, namespace: &str, reach: Reach) -> Result<Installation> {
        let manifests = Manifests::shipped()?.on_existing(&workspace::root().join(folder))?;
        Installation::apply_all(self.client(), &self.access, namespace, reach, manifests).await
    }

    /// The installation that another tool, such as Helm, made of these objects in `namespace`.
    #[must_use]
    pub fn installed(&self, objects: Vec<Value>, namespace: &str, reach: Reach) -> Installation {
        Installation::present(self.client(), &self.access, namespace, reach, Manifests::of(objects))
    }

    /// Applies these objects unchanged.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub async fn apply(&self, objects: &[Value]) -> Result<()> {
        for object in objects {
            installation::apply(&self.client, object).await?;
        }
        Ok(())
    }

    /// Asks the API server in a dry run if it accepts this object and every field of it. Nothing changes.
    ///
    /// # Errors
    /// With the API server's reason if it does not.
    pub async fn would_take(&self, object: &Value) -> Result<()> {
        installation::dry_run(&self.client, object).await
    }

    /// Installs a controller in a new namespace, for that namespace and the `additional` ones only.
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
