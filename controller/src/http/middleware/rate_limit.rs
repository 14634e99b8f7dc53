//! Rate limit of verify and rotate: refuses requests beyond it, with upstream's text and headers. `rate_limiter` contains the limit
//! itself (`RateLimiter`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{HeaderName, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::clients::Client;
use super::rate_limiter::{RateLimiter, Share, WHOLE};

/// The path of rotate.
pub(crate) const ROTATE: &str = "/v1/rotate";
/// Private-key operations of a request with `stale-only=true` that are charged like one other request.
const OPERATIONS: f64 = 1000.0;
/// Charge for such a request in addition to its operations.
const MIN_RATE: f64 = 0.02;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Account to which the private-key operations of one request are charged.
#[derive(Clone)]
pub(crate) struct Account {
    limiter: Arc<RateLimiter>,
    client: Client,
}

impl Account {
    /// Charges private-key operations. Once they exceed the client's share, its next requests are refused for a while.
    pub(crate) fn charge(&self, operations: usize) {
        let operations = f64::from(u32::try_from(operations).unwrap_or(u32::MAX));
        self.limiter.charge(self.client.0, operations / OPERATIONS, Instant::now());
    }
}

/// Returns true for requests to rotate stale items only.
pub(crate) fn is_stale_only(uri: &Uri) -> bool {
    uri.path() == ROTATE
        && uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "stale-only=true"))
}

/// Answers 429 to requests beyond the rate limit. A request with `stale-only=true` is charged by its private-key operations,
/// while it is handled, to the [`Account`] that it carries.
pub(crate) async fn limit(
    State(limiter): State<Arc<RateLimiter>>,
    Extension(client): Extension<Client>,
    mut request: Request,
    next: Next,
) -> Response {
    let cost = if is_stale_only(request.uri()) { MIN_RATE } else { WHOLE };
    let admission = limiter.admit(client.0, cost, Instant::now());
    request.extensions_mut().insert(Account { limiter, client });
    let mut response = match admission.wait {
        None => next.run(request).await,
        Some(wait) => too_many(wait),
    };
    add_headers(&mut response, admission.share);
    response
}

/// Returns the answer 429, with `wait` as Retry-After.
pub(crate) fn too_many(wait: Duration) -> Response {
    let retry = [(RETRY_AFTER, seconds(wait).max(1))];
    (StatusCode::TOO_MANY_REQUESTS, retry, "limit exceeded\n").into_response()
}

fn add_headers(response: &mut Response, share: Share) {
    let headers = response.headers_mut();
    headers.insert(LIMIT, share.limit.into());
    headers.insert(REMAINING, share.remaining.into());
    headers.insert(RESET, HeaderValue::from(seconds(share.full_after)));
}

/// Returns whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
