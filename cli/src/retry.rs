//! Repetition of requests that the API server puts off.

use std::time::Duration;

use http::{Request, Response, header};
use kube::client::Body;
use kube::client::retry::RetryPolicy;
use tower::BoxError;
use tower::retry::Policy;

/// The longest time that a request waits for its repetitions, together.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Repeats a request where the response says when, as client-go does. Other failures are final: the service proxy answers 503 as long
/// as a Service has no endpoints, and the policy of the library would wait for minutes.
#[derive(Clone)]
pub(crate) struct RetryAfter {
    left: Duration,
}

impl RetryAfter {
    /// A policy that waits no longer than `timeout`.
    pub(crate) fn within(timeout: Option<Duration>) -> Self {
        Self { left: timeout.map_or(MAX_WAIT, |timeout| timeout.min(MAX_WAIT)) }
    }

    /// The time to wait before the next attempt; `None` if there is none.
    fn wait<B>(&mut self, response: &Response<B>) -> Option<Duration> {
        let is_put_off = matches!(response.status().as_u16(), 429 | 503 | 504);
        let seconds = response.headers().get(header::RETRY_AFTER).filter(|_| is_put_off)?;
        let wait = Duration::from_secs(seconds.to_str().ok()?.parse().ok()?).max(Duration::from_secs(1));
        self.left = self.left.checked_sub(wait)?;
        Some(wait)
    }
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for RetryAfter {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        _request: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        self.wait(result.as_ref().ok()?).map(tokio::time::sleep)
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Policy::<_, Response<B>, _>::clone_request(&mut RetryPolicy::default(), request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: &mut RetryAfter, status: u16, after: Option<&str>) -> Option<u64> {
        let mut response = Response::builder().status(status);
        if let Some(after) = after {
            response = response.header(header::RETRY_AFTER, after);
        }
        policy.wait(&response.body(()).unwrap()).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_request_is_repeated_only_when_the_server_says_and_within_the_timeout() {
        let policy = &mut RetryAfter::within(None);
        assert_eq!((waits(policy, 503, None), waits(policy, 429, None)), (None, None));
        assert_eq!((waits(policy, 429, Some("0")), waits(policy, 503, Some("7"))), (Some(1), Some(7)));
        assert_eq!((waits(policy, 429, Some("3")), waits(policy, 429, Some("2"))), (None, Some(2)));
        let policy = &mut RetryAfter::within(Some(Duration::from_secs(2)));
        assert_eq!((waits(policy, 504, Some("3")), waits(policy, 504, Some("2"))), (None, Some(2)));
        assert_eq!(waits(&mut RetryAfter::within(None), 500, Some("1")), None);
    }
}
