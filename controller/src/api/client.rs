//! The client of the API server: its configuration, its timeouts and its rate limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::client::retry::RetryPolicy;
use kube::client::{AuthError, Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::core::response::StatusDetails;
use kube::runtime::watcher;
use kube::{Client, Config};
use parking_lot::Mutex;
use secrecy::ExposeSecret as _;
use tower::BoxError;
use tower::buffer::BufferLayer;
use tower::filter::{AsyncFilterLayer, FilterLayer};
use tower::retry::{Policy, RetryLayer};

use super::refusal::size_limit::ErrorSizeLimit;
use super::requests::{ApiRequests, Observing};
use super::response_size::event_limit::EventLimit;
use super::response_size::page_limit::PageLimit;
use super::token_file::{self, TokenFile};
use crate::args::Args;
use crate::leadership::{Fence, Leadership};
use crate::startup::error::StartError;

/// A watch ends after this time and resumes at its resourceVersion, so that a dead connection is noticed.
const WATCH_SECONDS: u32 = 15;
/// Timeout of a response, or of its next chunk. Longer than a watch without events.
const SILENCE: Duration = Duration::from_secs(20);
/// Objects per page of a list, fewer if they are large ([`PageLimit`]): while a page is read, memory holds it as text
/// and as objects.
const PAGE: u32 = 100;
const CONNECTING: Duration = Duration::from_secs(5);
const WAITING_REQUESTS: usize = 1024;
/// Retries of a request that was answered 429, 503 or 504, within some three seconds or after the pauses that the
/// answers ask for. After that, the caller retries with its own back-off.
const RETRIES: u32 = 3;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(1);

/// Creates the client from the flags. What it writes is sent only while this replica leads.
///
/// # Errors
/// If no cluster is configured, or its configuration cannot be used.
pub(crate) async fn connect(
    args: &Args,
    requests: Arc<ApiRequests>,
    leadership: Leadership,
) -> Result<Client, StartError> {
    let mut config = configuration_with_timeouts(args).await?;
    let sign = signing(&mut config).map_err(StartError::Configuration)?;
    // A longer Retry-After of the API server is respected.
    let again = RetryPolicy::new(FIRST_RETRY, MAX_RETRY, RETRIES, true);
    let again = again.map_err(|error| StartError::Configuration(error.to_string()))?;
    let builder = ClientBuilder::try_from(config)
        .map_err(|error| unusable(&error))?
        .with_layer(&ErrorSizeLimit)
        .with_layer(&Observing(requests))
        // Innermost, so that it decides as a request is sent: those that wait or are repeated may outlast a term.
        .with_layer(&Fence(leadership))
        .with_layer(&BufferLayer::new(WAITING_REQUESTS))
        .with_layer(&FilterLayer::new(sign))
        .with_layer(&RetryLayer::new(RetryUnlessOnce(again)))
        .with_layer(&EventLimit::default())
        .with_layer(&PageLimit::beginning_with(PAGE));
    Ok(match Pace::of(args) {
        None => builder.build(),
        Some(pace) => {
            let pace = Arc::new(pace);
            let wait = move |request: http::Request<Body>| {
                let wait = pace.wait_before(&request, Instant::now());
                async move {
                    tokio::time::sleep(wait).await;
                    Ok::<_, BoxError>(request)
                }
            };
            let waiting = AsyncFilterLayer::new(wait);
            builder.with_layer(&BufferLayer::new(WAITING_REQUESTS)).with_layer(&waiting).build()
        }
    })
}

/// Mark of a request that is sent once: until it was sent again, what it rests on might have changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Once;

/// [`RetryPolicy`] for all requests but those with the mark [`Once`].
#[derive(Clone)]
struct RetryUnlessOnce(RetryPolicy);

impl<R> Policy<http::Request<Body>, http::Response<R>, BoxError> for RetryUnlessOnce {
    type Future = <RetryPolicy as Policy<http::Request<Body>, http::Response<R>, BoxError>>::Future;

    fn retry(
        &mut self,
        request: &mut http::Request<Body>,
        result: &mut Result<http::Response<R>, BoxError>,
    ) -> Option<Self::Future> {
        self.0.retry(request, result)
    }

    fn clone_request(&mut self, request: &http::Request<Body>) -> Option<http::Request<Body>> {
        if request.extensions().get::<Once>().is_some() {
            return None;
        }
        Policy::<_, http::Response<R>, _>::clone_request(&mut self.0, request)
    }
}

/// Creates the client of the leader election. It has connections of its own, and neither a rate limit nor retries, so
/// that nothing delays a renewal.
///
/// # Errors
/// If no cluster is configured, or its configuration cannot be used.
pub(crate) async fn connect_for_election(
    args: &Args,
    requests: Arc<ApiRequests>,
) -> Result<Client, StartError> {
    let mut config = configuration_with_timeouts(args).await?;
    let sign = signing(&mut config).map_err(StartError::Configuration)?;
    let builder = ClientBuilder::try_from(config).map_err(|error| unusable(&error))?;
    let builder = builder.with_layer(&ErrorSizeLimit);
    Ok(builder.with_layer(&Observing(requests)).with_layer(&FilterLayer::new(sign)).build())
}

/// Returns the configuration of the flags, with the timeouts of every client.
async fn configuration_with_timeouts(args: &Args) -> Result<Config, StartError> {
    let mut config = configuration(args).await.map_err(StartError::Configuration)?;
    config.connect_timeout = Some(CONNECTING);
    config.read_timeout = Some(SILENCE);
    // Counts from the request, not from the moment at which its connection became idle.
    config.reset_reader_on_write = true;
    // The client's own retries last for minutes, in which the caller could do something better.
    config.default_retry = false;
    Ok(config)
}

fn unusable(error: &kube::Error) -> StartError {
    StartError::Configuration(describe(error))
}

/// Signs requests with the account's token if that is in a file; every other authentication is left to the client
/// library.
fn signing(
    config: &mut Config,
) -> Result<impl FnMut(http::Request<Body>) -> Result<http::Request<Body>, BoxError> + Clone + use<>, String>
{
    let user = &mut config.auth_info;
    if user.token.as_ref().is_some_and(|token| token_file::bearer(token.expose_secret()).is_none()) {
        return Err("the kubeconfig's token is not valid in an HTTP header".to_owned());
    }
    let path = user.token_file.take().filter(|_| user.token.is_none());
    let file = path.map(|path| TokenFile::new(path.into()));
    if let Some(file) = &file {
        file.header(Instant::now())?;
    }
    Ok(move |request| match &file {
        Some(file) => file.sign(request),
        None => Ok(request),
    })
}

async fn configuration(args: &Args) -> Result<Config, String> {
    match &args.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| error.to_string())?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(file, &options).await.map_err(|error| error.to_string())
        }
        None if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
            Config::incluster().map_err(|error| error.to_string())
        }
        None => Config::infer().await.map_err(|error| error.to_string()),
    }
}

/// The configuration of every watch.
pub(crate) fn watching() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE)
}

/// Returns the message of an error: the API server's message without the rest of its answer, and no content of an
/// answer that cannot be decoded.
pub(crate) fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        // The error's text quotes the answer.
        kube::Error::SerdeError(error) => {
            let (line, column) = (error.line(), error.column());
            format!("the API server's answer cannot be decoded (line {line}, column {column})")
        }
        // Errors of exec plugins quote their output.
        other if is_about_credentials(other) => {
            "the credentials of the configuration cannot be used: see its exec plugin or auth provider"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// Returns true if an answer says that the namespace of the written object is being deleted, or does not exist.
pub(crate) fn is_namespace_terminating(status: &Status) -> bool {
    let mut details = status.details.iter().flat_map(|details| &details.causes);
    let is_gone = |details: &StatusDetails| status.is_not_found() && details.kind == "namespaces";
    details.any(|cause| cause.reason == "NamespaceTerminating")
        || status.details.as_ref().is_some_and(is_gone)
}

/// Returns true for a denial by the API server's authorization: the account lacks a permission.
pub(crate) fn is_permission_missing(status: &Status) -> bool {
    let message = &status.message;
    status.is_forbidden() && message.contains(" is forbidden: User \"") && message.contains("\" cannot ")
}

fn is_about_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<AuthError>() || error.source().is_some_and(is_about_credentials)
}

/// Returns the message of an error of a list or watch, like [`describe`].
pub(crate) fn describe_watch_error(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(cause) | WatchStartFailed(cause) | WatchFailed(cause) => describe(cause),
        WatchError(status) => status.message.clone(),
        NoResourceVersion => error.to_string(),
    }
}

/// Returns true if the account lacks the permission to list or watch, which a retry does not change.
pub(crate) fn is_forbidden(error: &watcher::Error) -> bool {
    code_of(error) == Some(403)
}

/// Returns the status code with which the API server refused a list or watch. Predicates of kube's `Status` compare only the reason
/// (5.0.0), which a plain-text answer does not have, such as 404 for a kind that is not installed.
pub(crate) fn code_of(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status)
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

/// A rate limiter: a virtual queue of which only the end is stored, so that a waiting request costs nothing.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    /// Requests wait only if the queue is further ahead of the time than this.
    tolerance: Duration,
    end: Mutex<Option<Instant>>,
}

impl Pace {
    /// Returns the rate limit of `--kubeclient-qps` and `--kubeclient-burst`; `None` for no limit.
    fn of(args: &Args) -> Option<Self> {
        let per_second = args.kubeclient_qps.filter(|limit| limit.is_finite() && *limit > 0.0)?;
        let interval = Duration::try_from_secs_f32(1.0 / per_second).ok()?;
        let burst = u32::try_from(args.kubeclient_burst).ok()?.max(1);
        Some(Self { interval, tolerance: interval.saturating_mul(burst - 1), end: Mutex::new(None) })
    }

    /// Takes a place in the queue, and returns the wait for it. A request with the mark [`Once`] does not wait: it follows one that
    /// has waited, and others that wait would come between them.
    fn wait_before<B>(&self, request: &http::Request<B>, now: Instant) -> Duration {
        let wait = self.reserve(now);
        if request.extensions().get::<Once>().is_some() { Duration::ZERO } else { wait }
    }

    /// Takes a place in the queue, and returns the wait for it.
    fn reserve(&self, now: Instant) -> Duration {
        let mut end = self.end.lock();
        let start = end.map_or(now, |end| end.max(now));
        *end = start.checked_add(self.interval);
        start.saturating_duration_since(now).saturating_sub(self.tolerance)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::http::header::RETRY_AFTER;
    use clap::Parser as _;
    use http::StatusCode;
    use k8s_openapi::api::coordination::v1::Lease;
    use k8s_openapi::api::core::v1::Secret;
    use kube::Api;
    use kube::api::PostParams;
    use tempfile::TempDir;

    use super::*;
    use crate::leadership::candidate::Tenure;

    /// An API server that has no time: it answers each request with this status, and asks for a pause of a second.
    struct BusyServer {
        folder: TempDir,
        requests: Arc<AtomicUsize>,
    }

    impl BusyServer {
        async fn start(status: StatusCode, on_request: impl Fn() + Clone + Send + Sync + 'static) -> Self {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let requests = Arc::<AtomicUsize>::default();
            let count = Arc::clone(&requests);
            let refuse = move || {
                count.fetch_add(1, Ordering::SeqCst);
                on_request();
                std::future::ready((status, [(RETRY_AFTER, "1")]))
            };
            tokio::spawn(axum::serve(listener, Router::new().fallback(refuse)).into_future());
            let folder = tempfile::tempdir().unwrap();
            let kubeconfig = format!(
                "{{apiVersion: v1, kind: Config, current-context: here, users: [{{name: me, user: {{}}}}], \
                 contexts: [{{name: here, context: {{cluster: here, user: me}}}}], \
                 clusters: [{{name: here, cluster: {{server: \"http://{address}\"}}}}]}}"
            );
            std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
            Self { folder, requests }
        }

        fn args(&self, flags: &[&str]) -> Args {
            let kubeconfig = format!("--kubeconfig={}", self.folder.path().join("kubeconfig").display());
            Args::try_parse_from(["controller", &kubeconfig].iter().chain(flags)).unwrap()
        }

        fn requests(&self) -> usize {
            self.requests.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn a_write_that_waits_to_be_sent_or_repeated_is_not_sent_once_the_term_has_ended() {
        let (leadership, now) = (Leadership::elected(), Instant::now());
        leadership.publish(Tenure::LeadsUntil(now + Duration::from_mins(10)), None, now);
        let ending = leadership.clone();
        let end_term = move || ending.publish(Tenure::Follows, None, Instant::now());
        let server = BusyServer::start(StatusCode::SERVICE_UNAVAILABLE, end_term).await;
        let args = server.args(&["--kubeclient-qps=1", "--kubeclient-burst=1"]);
        let client = connect(&args, Arc::default(), leadership).await.unwrap();
        let secrets: Api<Secret> = Api::namespaced(client, "default");
        let (parameters, secret) = (PostParams::default(), Secret::default());
        let create = || secrets.create(&parameters, &secret);
        let (repeated, waiting) = tokio::join!(create(), create());
        for refused in [repeated, waiting] {
            let error = refused.unwrap_err();
            assert!(matches!(error, kube::Error::Service(_)), "not sent: {error}");
        }
        assert_eq!(server.requests(), 1);
    }

    #[tokio::test]
    async fn a_request_of_the_election_is_not_repeated_for_it() {
        for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
            let server = BusyServer::start(status, || {}).await;
            let client = connect_for_election(&server.args(&[]), Arc::default()).await.unwrap();
            let leases: Api<Lease> = Api::namespaced(client, "default");
            let refused = leases.get("sealed-secrets-controller").await.unwrap_err();
            assert!(
                matches!(&refused, kube::Error::Api(answer) if answer.code == status.as_u16()),
                "{refused}"
            );
            assert_eq!(server.requests(), 1, "{status}");
        }
    }

    fn pace(flags: &[&str]) -> Option<Pace> {
        Pace::of(&Args::try_parse_from(["controller"].iter().chain(flags)).unwrap())
    }

    #[test]
    fn requests_beyond_the_burst_wait_for_their_turn() {
        let pace = pace(&["--kubeclient-qps=2", "--kubeclient-burst=3"]).unwrap();
        let start = Instant::now();
        let waits = [0; 5].map(|_| pace.reserve(start).as_millis());
        assert_eq!(waits, [0, 0, 0, 500, 1000]);
        assert_eq!(pace.reserve(start + Duration::from_mins(1)), Duration::ZERO);
    }

    #[test]
    fn a_request_that_is_sent_once_waits_for_no_others_and_they_wait_for_it() {
        let (pace, start) = (pace(&["--kubeclient-qps=2", "--kubeclient-burst=1"]).unwrap(), Instant::now());
        let mut once = http::Request::new(());
        once.extensions_mut().insert(Once);
        let any = http::Request::new(());
        let waits = [&any, &any, &once, &any].map(|request| pace.wait_before(request, start).as_millis());
        assert_eq!(waits, [0, 500, 0, 1500]);
    }

    #[test]
    fn there_is_no_limit_by_default_and_where_a_flag_is_negative() {
        assert!(pace(&[]).is_none());
        assert!(pace(&["--kubeclient-qps=-1"]).is_none());
        assert!(pace(&["--kubeclient-qps=5", "--kubeclient-burst=-1"]).is_none());
        assert!(pace(&["--kubeclient-burst=1"]).is_none());
    }
}
