use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::manifest::json_as_sent;
use sealed_secrets_core::rewrap::{Rewrapped, Wanted, rewrap};
use sealed_secrets_core::unseal::V1Data;
use serde_json::{Value, json};

use super::clients::Client;
use super::desk::{Desk, Refusal, read};

/// `/v1/rotate`: the SealedSecret of the body as JSON, its items sealed anew with the primary key and without status;
/// everything else in it stays. 500 when anything in it does not open.
pub(super) async fn rotate(
    State(desk): State<Arc<Desk>>,
    Extension(client): Extension<Client>,
    request: Request,
) -> Response {
    let v1_data = desk.v1_data;
    let work = move |text: &str, ring: &_, wanted: Wanted<'_>| rotated(text, ring, v1_data, wanted);
    match desk.handle(client, request, work).await {
        Ok((Some(sealed), holding)) => match holding.answer(sealed) {
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
    let rewrapped = rewrap(&mut rand::rng(), &sealed, ring, v1_data, primary, wanted);
    // What was sent is given back with the fields that we do not know.
    let sent = || serde_json::from_str(text).unwrap_or_else(|_| json_as_sent(&document.root));
    Ok(rewrapped.map(|rewrapped| with_items(sent(), rewrapped).to_string()))
}

fn with_items(mut sealed: Value, rewrapped: Rewrapped) -> Value {
    if let Some(object) = sealed.as_object_mut() {
        object.remove("status");
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            match rewrapped.data {
                Some(data) => drop(spec.insert("data".to_owned(), json!(data))),
                None => drop(spec.insert("encryptedData".to_owned(), json!(rewrapped.encrypted_data))),
            }
        }
    }
    sealed
}
