use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::api_requests::ApiRequests;
use crate::context::RingReceiver;

/// What decides whether requests are sent to this replica, and whether an update goes on to the next one.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    pub(crate) ring: RingReceiver,
    pub(crate) api_requests: Arc<ApiRequests>,
    pub(crate) stop: CancellationToken,
}

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 while there is a key to seal with and SealedSecrets can be read, else 503 with the reason.
pub(super) async fn ready(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    match obstacle(&readiness) {
        None => (StatusCode::OK, "ok\n"),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

fn obstacle(Readiness { ring, api_requests, stop }: &Readiness) -> Option<&'static str> {
    if stop.is_cancelled() {
        return Some("stopping\n");
    }
    if ring.borrow().as_ref().is_none_or(|ring| ring.primary().is_none()) {
        return Some("no sealing key yet\n");
    }
    let is_refused = api_requests.are_sealed_secrets_refused(Instant::now());
    is_refused.then_some("SealedSecrets cannot be listed or watched: the CRD or the right is missing\n")
}
