//! The client of the API server, for the objects in the controller's namespace.

use std::time::Duration;

use http::{Request, header};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::client::Body;
use kube::{Api, Client, Config};
use sealed_secrets_crds::{SealingKey, SealingKeyPolicy};
use tokio::runtime::Runtime;

use crate::error::{Error, Refusal, error_chain};
use crate::http_client::{self, redact_password, runtime};

/// A client with its runtime and namespace.
pub(crate) struct ApiServer {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    /// The controller's namespace.
    pub(crate) namespace: String,
    /// The URL of the API server for messages, without a final slash and without a password.
    pub(crate) url: String,
    /// The reason why an attacker could forge its responses; `None` on a protected connection.
    pub(crate) exposure: Option<String>,
}

impl ApiServer {
    /// Creates the client, whose requests last no longer than `timeout` if the server puts them off. Sends no request.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub(crate) fn new(config: Config, namespace: String, timeout: Option<Duration>) -> Result<Self, Error> {
        let runtime = runtime()?;
        let url = redact_password(config.cluster_url.to_string().trim_end_matches('/'));
        let exposure = exposure(&config, &url);
        let client = {
            let _guard = runtime.enter();
            http_client::client(config, timeout).map_err(|cause| Error::Kubeconfig(error_chain(&cause)))?
        };
        Ok(Self { runtime, client, namespace, url, exposure })
    }

    /// Runs one request.
    ///
    /// # Errors
    /// When the API server refuses the request, or cannot be reached.
    pub(crate) fn run<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<T, Refusal> {
        self.runtime.block_on(request).map_err(Refusal::from)
    }

    /// GETs a path; returns the header Date and the body of the response.
    ///
    /// # Errors
    /// When the response is not a success.
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
                .map_err(|cause| Refusal::Other(error_chain(&cause)))?
                .to_bytes();
            if !status.is_success() {
                return Err(Refusal::of(status.as_u16(), &body));
            }
            Ok((date.and_then(|date| date.to_str().ok().map(str::to_owned)), body.to_vec()))
        })
    }

    /// The `SealingKey`s: the public side of the keys.
    pub(crate) fn sealing_keys(&self) -> Api<SealingKey> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The `SealingKeyPolicy` objects, of which one is in force.
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
