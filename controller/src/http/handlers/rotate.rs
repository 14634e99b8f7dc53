//! `/v1/rotate`: re-encrypts a SealedSecret with the primary key.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use sealed_secrets_core::manifest::{json_as_sent, only_document};
use sealed_secrets_core::re_encrypt::ReEncrypted;
use serde_json::{Value, json};

use super::request_handler::{Refusal, RequestHandler};
use super::rotate_stale::{CANNOT_DECRYPT, rotate_stale};
use super::slices::{Job, Purpose};
use crate::http::in_flight::InFlight;
use crate::http::middleware::clients::Client;
use crate::http::middleware::rate_limit::{Account, is_stale_only};

/// `/v1/rotate`: with `stale-only=true` see [`rotate_stale`]. Otherwise answers the SealedSecret of the body as JSON, its items
/// re-encrypted with the primary key, without status; all other fields are kept. 500 if any item does not decrypt.
pub(crate) async fn rotate(
    State(request_handler): State<Arc<RequestHandler>>,
    Extension(client): Extension<Client>,
    Extension(account): Extension<Account>,
    request: Request,
) -> Response {
    let is_stale_only = is_stale_only(request.uri());
    let answered = async {
        let (text, in_flight) = request_handler.receive(client, request).await?;
        let received = (text.into(), Mutex::new(in_flight));
        if is_stale_only {
            rotate_stale(&request_handler, client, account, received).await
        } else {
            rotate_all(&request_handler, client, received).await
        }
    };
    answered.await.unwrap_or_else(Refusal::into_response)
}

async fn rotate_all(
    request_handler: &RequestHandler,
    client: Client,
    (text, in_flight): (Arc<str>, Mutex<InFlight>),
) -> Result<Response, Refusal> {
    let job = Job { client, text: Arc::clone(&text), purpose: Purpose::Rotate };
    let Some(re_encrypted) = request_handler.in_slices(&job, &in_flight).await?.only() else {
        return Ok((StatusCode::INTERNAL_SERVER_ERROR, format!("{CANNOT_DECRYPT}\n")).into_response());
    };
    let answer = request_handler.in_turn(client, move |_| rotated(&text, re_encrypted)).await?;
    let answer = in_flight.into_inner().answer(answer).ok_or(Refusal::TooManyInFlight)?;
    Ok(([(CONTENT_TYPE, "application/json")], answer).into_response())
}

/// Returns the object with its new ciphertexts. Fields that we do not know are kept.
fn rotated(text: &str, re_encrypted: ReEncrypted) -> Result<String, Refusal> {
    let document = only_document(text).ok_or(Refusal::NotOneSealedSecret)?;
    let sent = serde_json::from_str(text).unwrap_or_else(|_| json_as_sent(&document.root));
    Ok(with_items(sent, re_encrypted).to_string())
}

fn with_items(mut sealed: Value, re_encrypted: ReEncrypted) -> Value {
    if let Some(object) = sealed.as_object_mut() {
        object.remove("status");
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            match re_encrypted.data {
                Some(data) => drop(spec.insert("data".to_owned(), json!(data))),
                None => drop(spec.insert("encryptedData".to_owned(), json!(re_encrypted.encrypted_data))),
            }
        }
    }
    sealed
}
