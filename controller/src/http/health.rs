use axum::extract::State;
use axum::http::StatusCode;

use crate::context::RingReceiver;

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 once there is a key to seal with, until then 503.
pub(super) async fn ready(State(ring): State<RingReceiver>) -> (StatusCode, &'static str) {
    let has_primary = ring.borrow().as_ref().is_some_and(|ring| ring.primary().is_some());
    if has_primary {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no sealing key yet\n")
    }
}
