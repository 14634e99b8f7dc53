//! `/v1/rotate?stale-only=true`: encrypts stale items of many SealedSecrets again.

use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use sealed_secrets_core::manifest::{json_as_sent, only_document};
use sealed_secrets_core::re_encrypt::ReEncrypted;
use serde_json::{Value, json};

use super::request_handler::{Refusal, RequestHandler};
use super::slices::{Job, Outcome, Purpose, items_of_list};
use crate::http::in_flight::InFlight;
use crate::http::middleware::clients::Client;
use crate::http::middleware::rate_limit::Account;

/// The fingerprint of the key to which items are encrypted. Items that another key decrypts are stale.
const KEY: HeaderName = HeaderName::from_static("sealed-secrets-key");
/// The number of items that were stale.
const STALE: HeaderName = HeaderName::from_static("sealed-secrets-stale");
/// Answer about a SealedSecret that does not decrypt.
pub(super) const CANNOT_DECRYPT: &str = "the SealedSecret cannot be decrypted";

/// Answers the SealedSecret of the text, or the List of them, as JSON: stale items re-encrypted with the primary key, all
/// others byte for byte, without status. A single SealedSecret that does not decrypt is answered with 500; in a List, a
/// Status with the same message takes its place.
pub(super) async fn rotate_stale(
    request_handler: &RequestHandler,
    client: Client,
    account: Account,
    (text, in_flight): (Arc<str>, Mutex<InFlight>),
) -> Result<Response, Refusal> {
    let job = Job { client, text: Arc::clone(&text), purpose: Purpose::RotateStale(account) };
    let Outcome { objects, primary } = request_handler.in_slices(&job, &in_flight).await?;
    let primary = primary.ok_or(Refusal::NoKey)?;
    let stale: usize = objects.iter().flatten().map(ReEncrypted::len).sum();
    let headers = [(KEY, primary.fingerprint().to_string()), (STALE, stale.to_string())];
    let Some(answer) = request_handler.in_turn(client, move |_| with_stale_items(&text, objects)).await?
    else {
        let failed = (StatusCode::INTERNAL_SERVER_ERROR, headers, format!("{CANNOT_DECRYPT}\n"));
        return Ok(failed.into_response());
    };
    let answer = in_flight.into_inner().answer(answer).ok_or(Refusal::TooManyInFlight)?;
    Ok((headers, [(CONTENT_TYPE, "application/json")], answer).into_response())
}

/// Returns the body of the answer; `None` if the only object does not decrypt. Fields that we do not know are kept.
fn with_stale_items(text: &str, mut done: Vec<Option<ReEncrypted>>) -> Result<Option<String>, Refusal> {
    let document = only_document(text).ok_or(Refusal::NotSealedSecrets)?;
    let is_list = items_of_list(&document).is_some();
    let mut sent = serde_json::from_str(text).unwrap_or_else(|_| json_as_sent(&document.root));
    drop(document);
    if is_list {
        let items = sent.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten();
        items.zip(done).for_each(|(item, stale)| replace(item, stale));
    } else {
        let Some(stale) = done.pop().flatten() else { return Ok(None) };
        insert(&mut sent, stale);
    }
    Ok(Some(sent.to_string()))
}

/// Replaces an item of a List by its result.
fn replace(item: &mut Value, stale: Option<ReEncrypted>) {
    match stale {
        Some(stale) => insert(item, stale),
        None => {
            *item =
                json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": CANNOT_DECRYPT});
        }
    }
}

/// Inserts the new ciphertexts into a SealedSecret, and removes its status.
fn insert(sealed: &mut Value, stale: ReEncrypted) {
    let Some(object) = sealed.as_object_mut() else { return };
    object.remove("status");
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if let Some(data) = stale.data {
        spec.insert("data".to_owned(), json!(data));
    }
    if let Some(items) = spec.get_mut("encryptedData").and_then(Value::as_object_mut) {
        items.extend(stale.encrypted_data.into_iter().map(|(key, text)| (key, json!(text))));
    }
}
