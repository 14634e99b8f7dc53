//! `/v1/verify`: reports if a SealedSecret can be decrypted.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;

use super::request_handler::{Refusal, RequestHandler};
use super::slices::{Job, Purpose};
use crate::http::middleware::clients::Client;

/// `/v1/verify`: 200 if every item of the SealedSecret in the body decrypts, else 409.
pub(crate) async fn verify(
    State(request_handler): State<Arc<RequestHandler>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    let verified = async {
        let (text, in_flight) = request_handler.receive(client, request).await?;
        let job = Job { client, text: text.into(), purpose: Purpose::Verify };
        let outcome = request_handler.in_slices(&job, &Mutex::new(in_flight)).await?;
        Ok::<_, Refusal>(outcome.only().is_some())
    };
    match verified.await {
        Ok(true) => StatusCode::OK.into_response(),
        Ok(false) => StatusCode::CONFLICT.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}
