//! The API server, for the objects in the controller's namespace.

use http::{Request, header};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use kube::core::Status;
use kube::{Api, Client, Config};
use sealed_secrets_crds::names::DEFAULT_CONTROLLER_NAMESPACE;
use sealed_secrets_crds::{SealingKey, SealingKeyPolicy};
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::error::Error;
use crate::flags::Flags;
use crate::web::{causes, shown};
use crate::{kubeconfig, web};

/// A client and the namespace that it works in.
pub(crate) struct ApiServer {
    /// Runs the few requests of one command.
    pub(crate) runtime: Runtime,
    /// The client itself.
    pub(crate) client: Client,
    /// The controller's namespace.
    pub(crate) namespace: String,
    /// The API server's address for messages: without a final slash and without a password.
    pub(crate) url: String,
    /// Why its answers may be somebody else's, if nothing keeps that from happening.
    pub(crate) exposure: Option<String>,
}

impl ApiServer {
    /// Reads kubeconfig and flags; asks nothing yet.
    ///
    /// # Errors
    /// When there is no usable configuration.
    pub(crate) fn connect(flags: &Flags) -> Result<Self, Error> {
        let runtime = runtime()?;
        let config = kubeconfig::config(flags)?;
        let url = shown(config.cluster_url.to_string().trim_end_matches('/'));
        let exposure = exposure(&config, &url);
        let namespace = flags.text("controller-namespace").unwrap_or(DEFAULT_CONTROLLER_NAMESPACE).to_owned();
        let client = {
            let _guard = runtime.enter();
            web::client(config).map_err(|cause| Error::Kubeconfig(causes(&cause)))?
        };
        Ok(Self { runtime, client, namespace, url, exposure })
    }

    /// GETs a path: the answer's Date, and its body.
    ///
    /// # Errors
    /// When the answer is no success.
    pub(crate) fn get(&self, path: &str) -> Result<(Option<String>, Vec<u8>), Refusal> {
        self.runtime.block_on(async {
            let request =
                Request::get(path).body(Body::empty()).map_err(|cause| Refusal::Other(cause.to_string()))?;
            let response = self.client.send(request).await.map_err(Refusal::from)?;
            let (status, date) = (response.status(), response.headers().get(header::DATE).cloned());
            let body = response
                .into_body()
                .collect()
                .await
                .map_err(|cause| Refusal::Other(causes(&cause)))?
                .to_bytes();
            if !status.is_success() {
                return Err(Refusal::of(status.as_u16(), &body));
            }
            Ok((date.and_then(|date| date.to_str().ok().map(str::to_owned)), body.to_vec()))
        })
    }

    /// The public side of the keys.
    pub(crate) fn sealing_keys(&self) -> Api<SealingKey> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The policies; one of them is in force.
    pub(crate) fn policies(&self) -> Api<SealingKeyPolicy> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Secrets, key Secrets among them.
    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

fn exposure(config: &Config, url: &str) -> Option<String> {
    if config.cluster_url.scheme_str() != Some("https") {
        return Some(format!("from {url} without encryption"));
    }
    let words = || format!("from {url}, whose own certificate is not checked (insecure-skip-tls-verify)");
    config.accept_invalid_certs.then(words)
}

/// A runtime for the few requests of one command.
pub(crate) fn runtime() -> Result<Runtime, Error> {
    let failed = |cause| Error::File { operation: "start", path: "async runtime".to_owned(), cause };
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)
}

/// Why the API server did not do what it was asked.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It does not know the kind: its CRD is not installed.
    #[error("the API server does not know this kind")]
    UnknownKind,
    /// There is no such object.
    #[error("{0}")]
    NotFound(String),
    /// The user lacks a right; the server's words name it.
    #[error("{0}")]
    Forbidden(String),
    /// The object exists, or has changed since it was read.
    #[error("{0}")]
    Conflict(String),
    /// Anything else, the server out of reach included.
    #[error("{0}")]
    Other(String),
}

impl From<kube::Error> for Refusal {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = &error else { return Self::Other(causes(&error)) };
        Self::of_status(status)
    }
}

impl Refusal {
    fn of(code: u16, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let plain = || Status::failure(text.trim(), "").with_code(code);
        Self::of_status(&serde_json::from_slice(body).unwrap_or_else(|_| plain()))
    }

    fn of_status(status: &Status) -> Self {
        let message = status.message.clone();
        match status.code {
            // A path that the server does not have is answered in plain text, a missing object with a Status.
            404 if status.reason == "NotFound" => Self::NotFound(message),
            404 => Self::UnknownKind,
            403 => Self::Forbidden(message),
            409 => Self::Conflict(message),
            code => Self::Other(format!("{message} ({code})")),
        }
    }
}
