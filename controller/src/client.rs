//! The client of the API server: where it is, how long it may be silent, and how much it is asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::client::retry::RetryPolicy;
use kube::client::{AuthError, Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::core::response::StatusDetails;
use kube::runtime::watcher;
use kube::{Client, Config};
use secrecy::ExposeSecret as _;
use tower::BoxError;
use tower::buffer::BufferLayer;
use tower::filter::{AsyncFilterLayer, FilterLayer};
use tower::retry::RetryLayer;

use crate::api_requests::{ApiRequests, Observing};
use crate::args::Args;
use crate::error::StartError;
use crate::page_limit::PageLimit;
use crate::token_file::{self, TokenFile};

/// A watch ends after this time, and goes on where it was: so a connection on which nothing comes any more is found out.
const WATCH_SECONDS: u32 = 15;
/// An answer, or the next piece of one, comes within this time. Longer than a watch that has nothing to say.
const SILENCE: Duration = Duration::from_secs(20);
/// Objects in a piece of a list, fewer where they are large ([`PageLimit`]): what is read at once is held as text and as objects at
/// the same time.
const PAGE: u32 = 100;
const CONNECTING: Duration = Duration::from_secs(5);
const WAITING_REQUESTS: usize = 1024;
/// A request that comes at a bad moment (429, 503 or 504) is repeated so often, within some three seconds or after the pauses that
/// the answers ask for; after that it is for those who have asked to try again, with pauses of their own.
const RETRIES: u32 = 3;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// The client that the flags ask for.
///
/// # Errors
/// When no cluster is configured, or its configuration cannot be used.
pub(crate) async fn connect(args: &Args, requests: Arc<ApiRequests>) -> Result<Client, StartError> {
    let mut config = configuration(args).await.map_err(StartError::Configuration)?;
    config.connect_timeout = Some(CONNECTING);
    config.read_timeout = Some(SILENCE);
    // Counts from the request, not from when its connection fell idle.
    config.reset_reader_on_write = true;
    // The client's own repetition goes on for minutes, in which whoever has asked could do something better.
    config.default_retry = false;
    let sign = signing(&mut config).map_err(StartError::Configuration)?;
    let unusable = |error: &kube::Error| StartError::Configuration(in_words(error));
    // A longer wait that the API server asks for is waited.
    let again = RetryPolicy::new(FIRST_RETRY, LONGEST_RETRY, RETRIES, true);
    let again = again.map_err(|error| StartError::Configuration(error.to_string()))?;
    let builder = ClientBuilder::try_from(config)
        .map_err(|error| unusable(&error))?
        .with_layer(&Observing(requests))
        .with_layer(&BufferLayer::new(WAITING_REQUESTS))
        .with_layer(&FilterLayer::new(sign))
        .with_layer(&RetryLayer::new(again))
        .with_layer(&PageLimit::beginning_with(PAGE));
    Ok(match Pace::of(args) {
        None => builder.build(),
        Some(pace) => {
            let pace = Arc::new(pace);
            let wait = move |request: http::Request<Body>| {
                let wait = pace.reserve(Instant::now());
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

/// What puts the account's token into a request, where it is in a file; everything else is left to the client library.
fn signing(
    config: &mut Config,
) -> Result<impl FnMut(http::Request<Body>) -> Result<http::Request<Body>, BoxError> + Clone + use<>, String>
{
    let user = &mut config.auth_info;
    if user.token.as_ref().is_some_and(|token| token_file::bearer(token.expose_secret()).is_none()) {
        return Err("the kubeconfig's token cannot be sent: no header takes it".to_owned());
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

/// How everything is watched.
pub(crate) fn watching() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE)
}

/// What is to be said of an error: the API server's message without the rest of its answer, and nothing of an answer that
/// cannot be read.
pub(crate) fn in_words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        // Its text quotes the answer.
        kube::Error::SerdeError(error) => {
            let (line, column) = (error.line(), error.column());
            format!("the API server's answer cannot be read (line {line}, column {column})")
        }
        // Errors of exec plugins quote their output.
        other if is_about_credentials(other) => {
            "the credentials of the configuration cannot be used: see its exec plugin or auth provider"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// Whether an answer says that the namespace of what was written is being deleted, or is gone.
pub(crate) fn says_that_namespace_goes(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    let is_gone = |details: &StatusDetails| status.code == 404 && details.kind == "namespaces";
    causes.any(|cause| cause.reason == "NamespaceTerminating") || status.details.as_ref().is_some_and(is_gone)
}

/// Recognizes a denial by the API server's authorization: the account lacks a right.
pub(crate) fn says_that_right_is_missing(status: &Status) -> bool {
    let message = &status.message;
    status.code == 403 && message.contains(" is forbidden: User \"") && message.contains("\" cannot ")
}

fn is_about_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<AuthError>() || error.source().is_some_and(is_about_credentials)
}

/// The same of a list or watch that failed.
pub(crate) fn watch_in_words(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(cause) | WatchStartFailed(cause) | WatchFailed(cause) => in_words(cause),
        WatchError(status) => status.message.clone(),
        NoResourceVersion => error.to_string(),
    }
}

/// Whether the account lacks the right to list or watch, which no repetition changes.
pub(crate) fn is_forbidden(error: &watcher::Error) -> bool {
    code_of(error) == Some(403)
}

/// The code with which the API server refused a list or a watch.
pub(crate) fn code_of(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status)
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

/// At most so many requests: a virtual queue whose end is remembered, so that waiting costs nothing.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    /// The queue may be this far ahead of the time before anybody waits.
    tolerance: Duration,
    end: Mutex<Option<Instant>>,
}

impl Pace {
    /// What `--kubeclient-qps` and `--kubeclient-burst` ask for; `None` for no limit.
    fn of(args: &Args) -> Option<Self> {
        let per_second = args.kubeclient_qps.filter(|limit| limit.is_finite() && *limit > 0.0)?;
        let interval = Duration::try_from_secs_f32(1.0 / per_second).ok()?;
        let burst = u32::try_from(args.kubeclient_burst).ok()?.max(1);
        Some(Self { interval, tolerance: interval.saturating_mul(burst - 1), end: Mutex::new(None) })
    }

    /// Takes a place in the queue, and returns the time until its turn.
    fn reserve(&self, now: Instant) -> Duration {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let start = end.map_or(now, |end| end.max(now));
        *end = start.checked_add(self.interval);
        start.saturating_duration_since(now).saturating_sub(self.tolerance)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

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
    fn there_is_no_limit_by_default_and_where_a_flag_is_negative() {
        assert!(pace(&[]).is_none());
        assert!(pace(&["--kubeclient-qps=-1"]).is_none());
        assert!(pace(&["--kubeclient-qps=5", "--kubeclient-burst=-1"]).is_none());
        assert!(pace(&["--kubeclient-burst=1"]).is_none());
    }
}
