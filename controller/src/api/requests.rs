//! Observes requests to the API server: their number by answer, failing lists and watches, and slow answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, Request, Response, Uri};
use kube::Resource as _;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sealed_secrets_crds::SealedSecret;
use tower::{Layer, Service};

/// Longest accepted Retry-After in seconds. Callers retry anyway.
const MAX_RETRY_AFTER: u64 = 30;
/// A starting API server temporarily denies requests that it allows later.
const PASSING: Duration = Duration::from_secs(30);
/// Duration above which a request counts as slow.
const SLOW: Duration = Duration::from_secs(5);
/// Minimum time between two warnings about a slow API server.
const SLOW_PAUSE: Duration = Duration::from_mins(1);
/// Label value of a request without an answer.
const NO_ANSWER: u16 = 0;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    method: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResource {
    resource: String,
}

/// A list or watch, which is repeated as long as the process runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ListOrWatch {
    resource: String,
    /// The path with the selectors, which distinguish watches of the same kind.
    of: String,
    is_watch: bool,
}

impl ListOrWatch {
    /// Returns the list or watch that a request belongs to; `None` for all other requests.
    fn of(method: &Method, uri: &Uri) -> Option<Self> {
        let segments: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        let (["api", _, collection @ ..] | ["apis", _, _, collection @ ..]) = segments.as_slice() else {
            return None;
        };
        let ([resource] | ["namespaces", _, resource]) = collection else { return None };
        if *method != Method::GET {
            return None;
        }
        let parameters = || uri.query().unwrap_or_default().split('&');
        let selectors = parameters().filter(|parameter| parameter.contains("Selector="));
        let of = [uri.path()].into_iter().chain(selectors).collect::<Vec<_>>().join("?");
        let is_watch = parameters().any(|parameter| matches!(parameter, "watch=true" | "watch=1"));
        Some(Self { resource: (*resource).to_owned(), of, is_watch })
    }
}

/// The state of a list or watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Works,
    Fails,
    /// Refused since this time, because the kind is not installed or the permission is missing: only an administrator can
    /// change that.
    Refused(Instant),
}

impl State {
    fn after(before: Option<Self>, code: u16, now: Instant) -> Self {
        match (code, before) {
            (200..=299, _) => Self::Works,
            (401 | 403 | 404, Some(Self::Refused(since))) => Self::Refused(since),
            (401 | 403 | 404, _) => Self::Refused(now),
            // An outage in between says nothing about the permission.
            (_, Some(Self::Refused(since))) => Self::Refused(since),
            _ => Self::Fails,
        }
    }
}

/// Metrics and state of the requests of this process.
#[derive(Debug, Default)]
pub(crate) struct ApiRequests {
    requests: Family<ResponseLabels, Counter>,
    failures: Family<OfResource, Counter>,
    failing: Family<OfResource, Gauge>,
    lists_and_watches: Mutex<HashMap<ListOrWatch, State>>,
    /// Time of the last warning about a slow API server.
    slow_warned: Mutex<Option<Instant>>,
}

impl ApiRequests {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Requests to the API server by method and code of the answer, 0 for none";
        registry.register("api_requests", help, self.requests.clone());
        let help = "Lists and watches that failed, by resource";
        registry.register("watch_failures", help, self.failures.clone());
        let help = "Lists and watches that are failing now, by resource";
        registry.register("watches_failing", help, self.failing.clone());
    }

    /// Returns true if every list and watch of SealedSecrets has been refused for longer than a temporary denial lasts,
    /// because the CRD or the permission is missing. An outage does not count: it ends without an administrator.
    pub(crate) fn are_sealed_secrets_refused(&self, now: Instant) -> bool {
        let lists_and_watches = self.lists_and_watches.lock();
        let kind = SealedSecret::plural(&());
        let places = lists_and_watches.iter().filter(|(list_or_watch, _)| list_or_watch.resource == kind);
        let mut refused = HashMap::<&str, bool>::new();
        for (list_or_watch, state) in places {
            let is_refused = matches!(state, State::Refused(since) if now.duration_since(*since) >= PASSING);
            *refused.entry(&list_or_watch.of).or_default() |= is_refused;
        }
        !refused.is_empty() && refused.into_values().all(|is_refused| is_refused)
    }

    /// Forgets the state of all lists and watches: some have ended with a term, and the others are noted again soon.
    pub(crate) fn forget_lists_and_watches(&self) {
        self.lists_and_watches.lock().clear();
        self.failing.clear();
    }

    /// Records the duration of a request. Returns true if a warning is due: the request was slow, and the last warning
    /// is a minute old.
    fn record_duration(&self, took: Duration, now: Instant) -> bool {
        let mut warned = self.slow_warned.lock();
        let is_due = warned.is_none_or(|last| now.duration_since(last) >= SLOW_PAUSE);
        if took < SLOW || !is_due {
            return false;
        }
        *warned = Some(now);
        true
    }

    fn answered(&self, method: &Method, list_or_watch: Option<ListOrWatch>, code: u16, now: Instant) {
        self.requests
            .get_or_create(&ResponseLabels { method: method.to_string().to_lowercase(), code })
            .inc();
        let Some(list_or_watch) = list_or_watch else { return };
        let label = OfResource { resource: list_or_watch.resource.clone() };
        let mut lists_and_watches = self.lists_and_watches.lock();
        let state = State::after(lists_and_watches.get(&list_or_watch).copied(), code, now);
        lists_and_watches.insert(list_or_watch, state);
        if state != State::Works {
            self.failures.get_or_create(&label).inc();
        }
        let failing = lists_and_watches
            .iter()
            .filter(|(other, state)| other.resource == label.resource && **state != State::Works);
        self.failing.get_or_create(&label).set(i64::try_from(failing.count()).unwrap_or(i64::MAX));
    }
}

/// A layer that records requests, and shortens the Retry-After of answers.
#[derive(Clone, Debug)]
pub(crate) struct Observing(pub(crate) Arc<ApiRequests>);

impl<S> Layer<S> for Observing {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { inner, requests: Arc::clone(&self.0) }
    }
}

/// A service whose requests are recorded.
#[derive(Clone, Debug)]
pub(crate) struct Observed<S> {
    inner: S,
    requests: Arc<ApiRequests>,
}

impl<S, A, B> Service<Request<A>> for Observed<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let (method, list_or_watch) =
            (request.method().clone(), ListOrWatch::of(request.method(), request.uri()));
        let resource = resource(request.uri().path()).to_owned();
        let begun = Instant::now();
        let (requests, answer) = (Arc::clone(&self.requests), self.inner.call(request));
        async move {
            let mut answer = answer.await;
            let code = answer.as_ref().map_or(NO_ANSWER, |answer| answer.status().as_u16());
            let now = Instant::now();
            let took = now.duration_since(begun);
            if requests.record_duration(took, now) {
                tracing::warn!(
                    %method,
                    resource,
                    "the API server is slow: {method} of {resource} took {} seconds",
                    took.as_secs()
                );
            }
            requests.answered(&method, list_or_watch, code, now);
            if let Ok(answer) = &mut answer {
                shorten_wait(answer);
            }
            answer
        }
        .boxed()
    }
}

/// Returns the resource of a path, without names.
fn resource(path: &str) -> &str {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        ["api", _, "namespaces", _, resource, ..]
        | ["apis", _, _, "namespaces", _, resource, ..]
        | ["api", _, resource, ..]
        | ["apis", _, _, resource, ..] => resource,
        _ => path,
    }
}

fn shorten_wait<B>(answer: &mut Response<B>) {
    let asked = answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
    if asked.is_some_and(|seconds: u64| seconds > MAX_RETRY_AFTER) {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(MAX_RETRY_AFTER));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "/apis/bitnami.com/v1alpha1/sealedsecrets?limit=100";
    const WATCH: &str = "/apis/bitnami.com/v1alpha1/sealedsecrets?watch=true&resourceVersion=7";
    const ELSEWHERE: &str = "/apis/bitnami.com/v1alpha1/namespaces/shop/sealedsecrets?limit=100";

    fn list_or_watch(path: &str) -> Option<ListOrWatch> {
        ListOrWatch::of(&Method::GET, &path.parse().unwrap())
    }

    #[test]
    fn lists_and_watches_are_distinguished_from_other_requests() {
        for (path, resource, is_watch) in [
            (LIST, "sealedsecrets", false),
            (WATCH, "sealedsecrets", true),
            (ELSEWHERE, "sealedsecrets", false),
            ("/api/v1/namespaces/kube-system/secrets?&watch=true&labelSelector=a", "secrets", true),
        ] {
            let found = list_or_watch(path).unwrap();
            assert_eq!((found.resource.as_str(), found.is_watch), (resource, is_watch), "{path}");
        }
        for path in ["/api", "/api/v1/namespaces/shop", "/api/v1/namespaces/shop/secrets/db", "/version"] {
            assert_eq!(list_or_watch(path), None, "{path}");
        }
        assert_eq!(ListOrWatch::of(&Method::POST, &"/api/v1/namespaces/shop/secrets".parse().unwrap()), None);
        assert_eq!(list_or_watch(WATCH), list_or_watch(&WATCH.replace("=7", "=8")));
        assert_ne!(
            list_or_watch("/api/v1/secrets?labelSelector=a"),
            list_or_watch("/api/v1/secrets?labelSelector=b")
        );
    }

    #[test]
    fn sealed_secrets_that_nobody_may_read_are_noticed_when_it_does_not_pass_and_when_it_is_over() {
        let (requests, start) = (ApiRequests::default(), Instant::now());
        let answered = |path: &str, code, after| {
            let list_or_watch = ListOrWatch::of(&Method::GET, &path.parse().unwrap());
            requests.answered(&Method::GET, list_or_watch, code, start + Duration::from_secs(after));
        };
        let refused = |after| requests.are_sealed_secrets_refused(start + Duration::from_secs(after));
        assert!(!refused(1000), "nothing was asked yet");
        answered(LIST, 200, 0);
        answered(WATCH, 403, 0);
        assert!(!refused(29));
        answered(LIST, 200, 20);
        answered(WATCH, NO_ANSWER, 25);
        answered(WATCH, 404, 29);
        assert!(refused(30));
        answered(WATCH, 200, 31);
        assert!(!refused(100));
        answered(WATCH, 503, 100);
        assert!(!refused(1000), "an outage is nobody's to mend");
    }

    #[test]
    fn one_namespace_that_may_not_be_read_leaves_the_others() {
        let (requests, start) = (ApiRequests::default(), Instant::now());
        for (path, code) in [(ELSEWHERE.replace("shop", "other"), 403), (ELSEWHERE.to_owned(), 200)] {
            requests.answered(&Method::GET, list_or_watch(&path), code, start);
        }
        assert!(!requests.are_sealed_secrets_refused(start + Duration::from_mins(10)));
        requests.answered(&Method::GET, list_or_watch(ELSEWHERE), 403, start);
        assert!(requests.are_sealed_secrets_refused(start + Duration::from_mins(10)));
    }

    #[test]
    fn requests_are_counted_and_a_failing_read_is_exported_until_it_succeeds() {
        let requests = ApiRequests::default();
        let mut registry = Registry::default();
        requests.register(&mut registry);
        let page = || {
            let mut page = String::new();
            prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
            page
        };
        for (path, code) in [(LIST, 200), (WATCH, 403), (WATCH, NO_ANSWER)] {
            requests.answered(&Method::GET, list_or_watch(path), code, Instant::now());
        }
        for line in [
            r#"api_requests_total{method="get",code="403"} 1"#,
            r#"api_requests_total{method="get",code="0"} 1"#,
            r#"watch_failures_total{resource="sealedsecrets"} 2"#,
            r#"watches_failing{resource="sealedsecrets"} 1"#,
        ] {
            assert!(page().contains(line), "{line}\n{}", page());
        }
        requests.answered(&Method::GET, list_or_watch(WATCH), 200, Instant::now());
        assert!(page().contains(r#"watches_failing{resource="sealedsecrets"} 0"#));
    }

    #[test]
    fn a_slow_api_server_is_logged_once_a_minute() {
        let (requests, start) = (ApiRequests::default(), Instant::now());
        let is_warned = |took, after| {
            let now = start + Duration::from_secs(after);
            requests.record_duration(Duration::from_millis(took), now)
        };
        let warned = [(4_999, 0), (5_000, 10), (20_000, 20), (5_000, 69), (5_000, 70), (0, 200)];
        assert_eq!(
            warned.map(|(took, after)| is_warned(took, after)),
            [false, true, false, false, true, false]
        );
    }

    #[test]
    fn a_resource_is_named_without_the_names_of_objects() {
        for (path, expected) in [
            (LIST.split('?').next().unwrap(), "sealedsecrets"),
            ("/apis/bitnami.com/v1alpha1/namespaces/shop/sealedsecrets/db/status", "sealedsecrets"),
            ("/api/v1/namespaces/shop/secrets/db", "secrets"),
            ("/api/v1/secrets", "secrets"),
            ("/api/v1/namespaces/shop", "namespaces"),
            ("/version", "/version"),
        ] {
            assert_eq!(resource(path), expected);
        }
    }

    #[test]
    fn a_wait_that_the_api_server_asks_for_is_kept_up_to_half_a_minute() {
        for (asked, kept) in [("1", "1"), ("30", "30"), ("31", "30"), ("86400", "30"), ("soon", "soon")] {
            let mut answer = Response::builder().header(RETRY_AFTER, asked).body(()).unwrap();
            shorten_wait(&mut answer);
            assert_eq!(answer.headers()[RETRY_AFTER], kept);
        }
    }
}
