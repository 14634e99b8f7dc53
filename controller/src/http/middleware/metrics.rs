//! Counts requests and their duration, like upstream, for the paths that kubeseal uses.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use crate::metrics::Metrics;

/// Counts requests of routes only: with unknown paths, the label would have no bound.
pub(crate) async fn count_requests(
    State(metrics): State<Arc<Metrics>>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let (start, method) = (Instant::now(), name(request.method()));
    let response = next.run(request).await;
    metrics.answered(path.as_str(), method, response.status().as_u16(), start.elapsed());
    response
}

/// Returns the label of a method: in lower case, and a common one for all methods that HTTP does not define.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        Method::CONNECT => "connect",
        Method::TRACE => "trace",
        _ => "unknown",
    }
}
