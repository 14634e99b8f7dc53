//! The controller's HTTP endpoints, through the API server's service proxy: the only way that upstream's RBAC grants.

use std::thread;
use std::time::Duration;

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::client::Body;
use sealed_secrets_crds::names::DEFAULT_CONTROLLER_NAME;

use crate::api::ApiServer;
use crate::error::{Error, error_chain};
use crate::session::Session;
use crate::shell::word;

/// The longest wait for a server that says when to come again.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// Attempts at a request that is refused for its rate.
const ATTEMPTS: usize = 100;

/// A client of the controller's endpoints.
pub(crate) struct ServiceProxy<'s> {
    api: &'s ApiServer,
    path: String,
}

/// A response.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The message of the Status with which the API server answers a failed request.
    fn message(&self) -> Option<String> {
        let status: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        status.get("message")?.as_str().map(str::to_owned)
    }

    /// True if the API server answers in place of the controller.
    fn is_of_api_server(&self) -> bool {
        let status: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        status.is_some_and(|status| status.get("kind").is_some_and(|kind| kind == "Status"))
    }

    /// The time to wait before the request is repeated, if its rate is the reason of the refusal.
    fn wait(&self) -> Option<Duration> {
        let seconds =
            self.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let wait = Duration::from_secs(seconds.unwrap_or(1)).clamp(Duration::from_secs(1), MAX_WAIT);
        (self.status == StatusCode::TOO_MANY_REQUESTS).then_some(wait)
    }

    /// Describes a failed request in one line.
    pub(crate) fn failure(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line = || text.lines().next().filter(|line| !line.is_empty()).map(str::to_owned);
        match self.message().or_else(line) {
            Some(message) => format!("{message} ({})", self.status),
            None => self.status.to_string(),
        }
    }
}

impl<'s> ServiceProxy<'s> {
    /// Finds the controller's Service and its first port.
    ///
    /// # Errors
    /// When there is no kubeconfig, or the Service cannot be read.
    pub(crate) fn connect(session: &'s Session<'_>) -> Result<Self, Error> {
        let api = session.api()?;
        let namespace = &api.namespace;
        let name = session.controller_name().unwrap_or(DEFAULT_CONTROLLER_NAME);
        let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
        let request = described(api, &Method::GET, &path);
        let failed = |cause: String, is_missing: bool| Error::Service {
            cause,
            is_missing,
            request: Some(request.clone()),
        };
        let answer =
            send(api, Method::GET, &path, Vec::new()).map_err(|cause| failed(cause, false).with_address())?;
        if !answer.status.is_success() {
            let cause = answer.message().unwrap_or_else(|| answer.failure());
            return Err(failed(cause, answer.status == StatusCode::NOT_FOUND));
        }
        let service: Service = serde_json::from_slice(&answer.body)
            .map_err(|_| failed("the answer is not a Service".to_owned(), false))?;
        let port = service.spec.and_then(|spec| spec.ports?.into_iter().next()).and_then(|port| port.name);
        let port = port.unwrap_or_default();
        let path = format!("/api/v1/namespaces/{namespace}/services/http:{name}:{port}/proxy");
        Ok(Self { api, path })
    }

    /// Fetches the certificate.
    ///
    /// # Errors
    /// When the controller cannot be reached or serves none.
    pub(crate) fn certificate(&self) -> Result<Vec<u8>, Error> {
        let path = "/v1/cert.pem";
        let failed = |cause, hint| Error::FetchCertificate {
            cause,
            request: Some(self.described(&Method::GET, path)),
            hint,
        };
        let answer = self.request(Method::GET, path, Vec::new()).map_err(|cause| failed(cause, None))?;
        let hint = self.hint(&answer);
        if answer.status.is_success() { Ok(answer.body) } else { Err(failed(answer.failure(), hint)) }
    }

    /// Posts one SealedSecret, or a List of them.
    ///
    /// # Errors
    /// When the controller cannot be reached. A response of any status is not an error.
    pub(crate) fn post(&self, path: &str, body: Vec<u8>) -> Result<Answer, String> {
        self.request(Method::POST, path, body)
    }

    /// As [`Self::post`], and repeats a request that is refused for its rate, when the server says.
    ///
    /// # Errors
    /// As [`Self::post`], and when the API server refuses in place of the controller; with the address.
    pub(crate) fn post_patiently(&self, path: &str, body: &[u8]) -> Result<Answer, String> {
        let request = self.described(&Method::POST, path);
        let post = || self.post(path, body.to_vec()).map_err(|cause| format!("{request}: {cause}"));
        let mut answer = post()?;
        for _ in 1..ATTEMPTS {
            let Some(wait) = answer.wait() else { break };
            thread::sleep(wait);
            answer = post()?;
        }
        if answer.status != StatusCode::OK && answer.is_of_api_server() {
            return Err(format!("{request}: {}", self.failure(&answer)));
        }
        Ok(answer)
    }

    /// Describes a failed request in one line, and says how to go on if no controller runs.
    pub(crate) fn failure(&self, answer: &Answer) -> String {
        let hint = self.hint(answer).map(|hint| format!("; {hint}"));
        answer.failure() + &hint.unwrap_or_default()
    }

    /// The command that shows the Pod, if the Service exists and no controller runs behind it.
    fn hint(&self, answer: &Answer) -> Option<String> {
        let is_idle = answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.is_of_api_server();
        let namespace = word(&self.api.namespace);
        is_idle.then(|| format!("is the controller's Pod running? kubectl get pods -n {namespace}"))
    }

    fn described(&self, method: &Method, path: &str) -> String {
        described(self.api, method, &format!("{}{path}", self.path))
    }

    fn request(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, String> {
        send(self.api, method, &format!("{}{path}", self.path), body)
    }
}

/// A request as Go names it in errors.
fn described(api: &ApiServer, method: &Method, path: &str) -> String {
    let verb = if *method == Method::GET { "Get" } else { "Post" };
    format!("{verb} {:?}", format!("{}{path}", api.url))
}

fn send(api: &ApiServer, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, String> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(Body::from(body)).map_err(|cause| cause.to_string())?;
    api.runtime.block_on(async {
        let response = api.client.send(request).await.map_err(|cause| error_chain(&cause))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.map_err(|cause| error_chain(&cause))?;
        Ok(Answer { status, headers, body: body.to_bytes().to_vec() })
    })
}
