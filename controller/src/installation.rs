//! The controller's installation: its namespace, and the UID that determines the name of its first key Secret.

use std::sync::OnceLock;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client};

const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Returns the controller's namespace, found like upstream's: `POD_NAMESPACE`, the service account's file, else
/// `default`.
pub(crate) fn namespace() -> String {
    let from_environment = std::env::var("POD_NAMESPACE").ok();
    let from_file = || std::fs::read_to_string(NAMESPACE_FILE).ok();
    let named = from_environment.filter(|name| !name.is_empty()).or_else(from_file);
    let named = named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    named.unwrap_or_else(|| "default".to_owned())
}

/// Returns the name of this replica: that of its Pod, or of its host.
pub(crate) fn replica_name() -> String {
    let of_pod = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty());
    of_pod.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

/// The controller's namespace and its service account.
pub(crate) struct Installation {
    client: Client,
    namespace: String,
    /// The UID of the namespace, cached after the first read, so that a temporary denial has no effect.
    uid: OnceLock<String>,
}

impl Installation {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), uid: OnceLock::new() }
    }

    /// Returns the UID that determines the name of the first key Secret (docs/rotation-rules.md, rule 3): the namespace's, or
    /// that of the controller's service account if namespaces may not be read.
    ///
    /// # Errors
    /// Every other answer of the API server: a guess would create a second first key.
    pub(crate) async fn uid(&self) -> Result<String, kube::Error> {
        if let Some(uid) = self.uid.get() {
            return Ok(uid.clone());
        }
        match Api::<Namespace>::all(self.client.clone()).get(&self.namespace).await {
            Ok(found) => {
                let uid = known(found.metadata.uid)?;
                Ok(self.uid.get_or_init(|| uid).clone())
            }
            Err(kube::Error::Api(status)) if status.is_forbidden() => known(account_uid(&self.client).await?),
            Err(error) => Err(error),
        }
    }
}

fn known(uid: Option<String>) -> Result<String, kube::Error> {
    uid.filter(|uid| !uid.is_empty()).ok_or_else(|| unnamed("the API server returned none"))
}

async fn account_uid(client: &Client) -> Result<Option<String>, kube::Error> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    match reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await {
        Ok(review) => Ok(review.status.and_then(|status| status.user_info).and_then(|user| user.uid)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Err(unnamed(
            "before Kubernetes 1.28, the permission to get the controller's own namespace is required",
        )),
        Err(error) => Err(error),
    }
}

fn unnamed(cause: &str) -> kube::Error {
    kube::Error::Service(format!("cannot determine the UID from which key Secrets are named: {cause}").into())
}
