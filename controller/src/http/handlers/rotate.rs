//! `/v1/rotate`: re-encrypts a SealedSecret with the primary key.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::manifest::json_as_sent;
use sealed_secrets_core::re_encrypt::{ReEncrypted, Wanted, re_encrypt};
use sealed_secrets_core::unseal::V1Data;
use serde_json::{Value, json};

use super::request_handler::{Refusal, RequestHandler, read};
use super::rotate_stale::{CANNOT_DECRYPT, rotate_stale};
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
    if is_stale_only(request.uri()) {
        let stale_only = async {
            let received = request_handler.receive(client, request).await?;
            rotate_stale(&request_handler, client, &account, received).await
        };
        return stale_only.await.unwrap_or_else(Refusal::into_response);
    }
    let v1_data = request_handler.v1_data;
    let work = move |text: &str, ring: &_, wanted: Wanted<'_>| rotated(text, ring, v1_data, wanted);
    match request_handler.handle(client, request, work).await {
        Ok((Some(sealed), in_flight)) => match in_flight.answer(sealed) {
            Some(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
            None => Refusal::TooManyInFlight.into_response(),
        },
        Ok((None, _)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{CANNOT_DECRYPT}\n")).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn rotated(
    text: &str,
    ring: &KeyRing,
    v1_data: V1Data,
    wanted: Wanted<'_>,
) -> Result<Option<String>, Refusal> {
    let (document, sealed) = read(text)?;
    let primary = ring.primary().ok_or(Refusal::NoKey)?.key_pair().public_key();
    let re_encrypted = re_encrypt(&mut rand::rng(), &sealed, ring, v1_data, primary, wanted);
    // Fields that we do not know are kept.
    let sent = || serde_json::from_str(text).unwrap_or_else(|_| json_as_sent(&document.root));
    Ok(re_encrypted.map(|re_encrypted| with_items(sent(), re_encrypted).to_string()))
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
