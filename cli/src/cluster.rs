//! The controller, through the API server's service proxy: old RBAC grants just that.

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::client::Body;
use sealed_secrets_crds::names::DEFAULT_CONTROLLER_NAME;
use tokio::runtime::Runtime;

use crate::api::ApiServer;
use crate::certificate::Fetched;
use crate::error::Error;
use crate::flags::Flags;
use crate::web::causes;

/// The controller's endpoints.
pub(crate) struct Cluster {
    runtime: Runtime,
    client: Client,
    proxy_path: String,
    exposure: Option<String>,
}

/// A status and a body.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// What the API server says of a failed request: the message of its Status.
    fn message(&self) -> Option<String> {
        let status: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        status.get("message")?.as_str().map(str::to_owned)
    }

    /// What a failed request says, in one line.
    pub(crate) fn failure(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line = || text.lines().next().filter(|line| !line.is_empty()).map(str::to_owned);
        match self.message().or_else(line) {
            Some(message) => format!("{message} ({})", self.status),
            None => self.status.to_string(),
        }
    }
}

impl Cluster {
    /// Finds the controller's Service and its first port.
    ///
    /// # Errors
    /// When there is no kubeconfig, or the Service cannot be read.
    pub(crate) fn connect(flags: &Flags) -> Result<Self, Error> {
        let ApiServer { runtime, client, namespace, url, exposure } = ApiServer::connect(flags)?;
        let name = flags.text("controller-name").unwrap_or(DEFAULT_CONTROLLER_NAME);
        let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
        let failed = |cause: String| Error::Service { cause, is_missing: false };
        let shown = format!("Get {:?}", format!("{url}{path}"));
        let answer = runtime
            .block_on(send(&client, Method::GET, &path, Vec::new()))
            .map_err(|cause| failed(format!("{shown}: {cause}")))?;
        if !answer.status.is_success() {
            let cause = answer.message().unwrap_or_else(|| answer.failure());
            return Err(Error::Service { cause, is_missing: answer.status == StatusCode::NOT_FOUND });
        }
        let service: Service = serde_json::from_slice(&answer.body)
            .map_err(|_| failed("the answer is not a Service".to_owned()))?;
        let port = service.spec.and_then(|spec| spec.ports?.into_iter().next()).and_then(|port| port.name);
        let port = port.unwrap_or_default();
        let proxy_path = format!("/api/v1/namespaces/{namespace}/services/http:{name}:{port}/proxy");
        Ok(Self { runtime, client, proxy_path, exposure })
    }

    /// The certificate that the controller serves.
    ///
    /// # Errors
    /// When it serves none.
    pub(crate) fn certificate(&self) -> Result<Fetched, Error> {
        let answer =
            self.request(Method::GET, "/v1/cert.pem", Vec::new()).map_err(Error::FetchCertificate)?;
        if !answer.status.is_success() {
            return Err(Error::FetchCertificate(answer.failure()));
        }
        let name = "the controller's certificate".to_owned();
        Ok(Fetched { bytes: answer.body, name, exposure: self.exposure.clone() })
    }

    /// Posts one SealedSecret.
    ///
    /// # Errors
    /// When the controller cannot be reached; any status is an answer.
    pub(crate) fn post(&self, path: &str, body: Vec<u8>) -> Result<Answer, String> {
        self.request(Method::POST, path, body)
    }

    fn request(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, String> {
        self.runtime.block_on(send(&self.client, method, &format!("{}{path}", self.proxy_path), body))
    }
}

async fn send(client: &Client, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, String> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(Body::from(body)).map_err(|cause| cause.to_string())?;
    let response = client.send(request).await.map_err(|cause| causes(&cause))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|cause| causes(&cause))?;
    Ok(Answer { status, body: body.to_bytes().to_vec() })
}
