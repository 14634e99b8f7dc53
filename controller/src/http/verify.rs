use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sealed_secrets_core::rewrap::{Wanted, opens};

use super::desk::{Desk, sealed_secret};

/// `/v1/verify`: 200 when every item of the SealedSecret in the body opens, else 409.
pub(super) async fn verify(
    State(desk): State<Arc<Desk>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let v1_data = desk.v1_data;
    let work = move |text: &str, ring: &_, wanted: Wanted<'_>| {
        Ok(opens(&sealed_secret(text)?, ring, v1_data, wanted))
    };
    match desk.handle(peer.ip(), request, work).await {
        Ok(true) => StatusCode::OK.into_response(),
        Ok(false) => StatusCode::CONFLICT.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}
