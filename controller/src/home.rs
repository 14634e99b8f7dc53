//! Where the controller lives: its namespace, and the UID that makes its key names its own.

use std::sync::OnceLock;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, Client};

const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The controller's namespace as upstream finds it: `POD_NAMESPACE`, the service account's file, else `default`.
pub(crate) fn namespace() -> String {
    let from_environment = std::env::var("POD_NAMESPACE").ok();
    let from_file = || std::fs::read_to_string(NAMESPACE_FILE).ok();
    let named = from_environment.filter(|name| !name.is_empty()).or_else(from_file);
    let named = named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    named.unwrap_or_else(|| "default".to_owned())
}

/// The namespace of the controller and its account in it.
pub(crate) struct Home {
    client: Client,
    namespace: String,
    /// The UID of the namespace, once it was read: that the right is missing for a moment then changes nothing.
    uid: OnceLock<String>,
}

impl Home {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), uid: OnceLock::new() }
    }

    /// The UID that goes into the names of key Secrets (key-rotation rule 3): the namespace's, or this account's own where
    /// namespaces may not be read.
    ///
    /// # Errors
    /// Every other answer of the API server: a guess would make a second first key.
    pub(crate) async fn uid(&self) -> Result<String, kube::Error> {
        if let Some(uid) = self.uid.get() {
            return Ok(uid.clone());
        }
        match Api::<Namespace>::all(self.client.clone()).get(&self.namespace).await {
            Ok(found) => {
                let uid = known(found.metadata.uid)?;
                Ok(self.uid.get_or_init(|| uid).clone())
            }
            Err(kube::Error::Api(status)) if status.code == 403 => known(account_uid(&self.client).await?),
            Err(error) => Err(error),
        }
    }
}

fn known(uid: Option<String>) -> Result<String, kube::Error> {
    uid.filter(|uid| !uid.is_empty()).ok_or_else(|| unnamed("the API server names no UID for it"))
}

async fn account_uid(client: &Client) -> Result<Option<String>, kube::Error> {
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    match reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await {
        Ok(review) => Ok(review.status.and_then(|status| status.user_info).and_then(|user| user.uid)),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            Err(unnamed("before Kubernetes 1.28 it takes the right to get the controller's own namespace"))
        }
        Err(error) => Err(error),
    }
}

fn unnamed(why: &str) -> kube::Error {
    kube::Error::Service(format!("a key Secret gets its name from the cluster: {why}").into())
}
