//! Counts requests and their duration, as upstream does for the paths that kubeseal asks.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use crate::metrics::Metrics;

/// Only for routes: a path that nobody serves would be a label without bounds.
pub(super) async fn counted(
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

/// The label of a method: in small letters, and one for all that HTTP does not define.
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
