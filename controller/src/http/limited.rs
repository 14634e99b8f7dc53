//! Turns away requests beyond the rate, in the words and headers of upstream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{HeaderName, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::clients::Client;
use super::rate::{RateLimiter, Share};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Answers 429 to requests beyond the rate.
pub(super) async fn limited(
    State(limiter): State<Arc<RateLimiter>>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let admission = limiter.admit(client.0, Instant::now());
    let mut response = match admission.wait {
        None => next.run(request).await,
        Some(wait) => too_many(wait),
    };
    tell(&mut response, admission.share);
    response
}

/// 429, to be asked again after `wait`.
pub(super) fn too_many(wait: Duration) -> Response {
    let retry = [(RETRY_AFTER, seconds(wait).max(1))];
    (StatusCode::TOO_MANY_REQUESTS, retry, "limit exceeded\n").into_response()
}

fn tell(response: &mut Response, share: Share) {
    let headers = response.headers_mut();
    headers.insert(LIMIT, share.limit.into());
    headers.insert(REMAINING, share.remaining.into());
    headers.insert(RESET, HeaderValue::from(seconds(share.full_after)));
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
