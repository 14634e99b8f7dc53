//! `/v1/verify`: reports if a SealedSecret can be decrypted.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sealed_secrets_core::re_encrypt::{Wanted, can_decrypt};

use super::request_handler::{RequestHandler, sealed_secret};
use crate::http::middleware::clients::Client;

/// `/v1/verify`: 200 if every item of the SealedSecret in the body decrypts, else 409.
pub(crate) async fn verify(
    State(request_handler): State<Arc<RequestHandler>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    let v1_data = request_handler.v1_data;
    let work = move |text: &str, ring: &_, wanted: Wanted<'_>| {
        Ok(can_decrypt(&sealed_secret(text)?, ring, v1_data, wanted).then_some(()))
    };
    match request_handler.handle(client, request, work).await {
        Ok((Some(()), _)) => StatusCode::OK.into_response(),
        Ok((None, _)) => StatusCode::CONFLICT.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}
