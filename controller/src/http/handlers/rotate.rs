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
use crate::http::middleware::clients::Client;

/// `/v1/rotate`: the SealedSecret of the body as JSON, its items sealed anew with the primary key and without status;
/// everything else in it stays. 500 when anything in it does not open.
pub(crate) async fn rotate(
    State(request_handler): State<Arc<RequestHandler>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    let v1_data = request_handler.v1_data;
    let work = move |text: &str, ring: &_, wanted: Wanted<'_>| rotated(text, ring, v1_data, wanted);
    match request_handler.handle(client, request, work).await {
        Ok((Some(sealed), in_flight)) => match in_flight.answer(sealed) {
            Some(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
            None => Refusal::TooManyInFlight.into_response(),
        },
        Ok((None, _)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the SealedSecret cannot be decrypted\n").into_response()
        }
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
    // What was sent is given back with the fields that we do not know.
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
