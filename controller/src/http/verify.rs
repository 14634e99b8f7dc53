use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sealed_secrets_core::rewrap::{Wanted, opens};

use super::clients::Client;
use super::desk::{Desk, sealed_secret};

/// `/v1/verify`: 200 when every item of the SealedSecret in the body opens, else 409.
pub(super) async fn verify(
    State(desk): State<Arc<Desk>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    let v1_data = desk.v1_data;
    let work = move |text: &str, ring: &_, wanted: Wanted<'_>| {
        Ok(opens(&sealed_secret(text)?, ring, v1_data, wanted).then_some(()))
    };
    match desk.handle(client, request, work).await {
        Ok((Some(()), _)) => StatusCode::OK.into_response(),
        Ok((None, _)) => StatusCode::CONFLICT.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}
