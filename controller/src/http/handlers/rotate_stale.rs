//! `/v1/rotate?stale-only=true`: encrypts stale items of many SealedSecrets again, in slices between which other clients have
//! their turn.

use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use sealed_secrets_core::keyring::{KeyRing, RingKey};
use sealed_secrets_core::manifest::{Document, Node, NodeKind, json_as_sent, only_document};
use sealed_secrets_core::re_encrypt::{ReEncrypted, Wanted, re_encrypt_stale};
use sealed_secrets_core::unseal::V1Data;
use sealed_secrets_crds::SealedSecret;
use serde_json::{Value, json};

use super::request_handler::{Refusal, RequestHandler, sealed_secret_at};
use crate::http::in_flight::InFlight;
use crate::http::middleware::clients::Client;
use crate::http::middleware::rate_limit::Account;
use crate::work::limits::SLICE;

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
    account: &Account,
    (text, in_flight): (String, InFlight),
) -> Result<Response, Refusal> {
    let text: Arc<str> = text.into();
    let attempt = |ring| attempt(request_handler, client, account.clone(), Arc::clone(&text), ring);
    let rotation = request_handler.with_keys(attempt, Rotation::is_complete).await?;
    let headers = rotation.headers();
    let Some(answer) = request_handler.in_turn(client, move |_| rotation.answer()).await? else {
        let failed = (StatusCode::INTERNAL_SERVER_ERROR, headers, format!("{CANNOT_DECRYPT}\n"));
        return Ok(failed.into_response());
    };
    let answer = in_flight.answer(answer).ok_or(Refusal::TooManyInFlight)?;
    Ok((headers, [(CONTENT_TYPE, "application/json")], answer).into_response())
}

/// Processes all objects with the same keys.
async fn attempt(
    request_handler: &RequestHandler,
    client: Client,
    account: Account,
    text: Arc<str>,
    ring: Arc<KeyRing>,
) -> Result<Rotation, Refusal> {
    let mut rotation = Rotation::new(text, ring, request_handler.v1_data, account)?;
    loop {
        rotation = request_handler.in_turn(client, move |wanted| rotation.advance(wanted)).await?;
        if rotation.is_finished() {
            return Ok(rotation);
        }
    }
}

/// Re-encryption of the stale items of one request. Between turns it holds the text and the new ciphertexts only: parsed, a
/// short text may take a hundred times its length, and many requests wait for their turn at the same time.
struct Rotation {
    text: Arc<str>,
    ring: Arc<KeyRing>,
    primary: Arc<RingKey>,
    v1_data: V1Data,
    account: Account,
    /// The number of objects; `None` before the first turn.
    objects: Option<usize>,
    /// For each object its stale items; `None` if it does not decrypt.
    done: Vec<Option<ReEncrypted>>,
    /// Stale items of the next object, up to its item `last`.
    begun: ReEncrypted,
    last: Option<String>,
}

impl Rotation {
    fn new(text: Arc<str>, ring: Arc<KeyRing>, v1_data: V1Data, account: Account) -> Result<Self, Refusal> {
        let primary = Arc::clone(ring.primary().ok_or(Refusal::NoKey)?);
        Ok(Self {
            text,
            ring,
            primary,
            v1_data,
            account,
            objects: None,
            done: Vec::new(),
            begun: ReEncrypted::default(),
            last: None,
        })
    }

    /// Processes objects until a slice of operations is used up, and charges for them, also if the client is gone.
    fn advance(mut self, wanted: Wanted<'_>) -> Result<Self, Refusal> {
        let text = Arc::clone(&self.text);
        let document = only_document(&text).ok_or(Refusal::NotSealedSecrets)?;
        let nodes = objects(&document);
        let sealed = |node| sealed_secret_at(&document, node).ok_or(Refusal::NotSealedSecrets);
        if self.objects.is_none() {
            nodes.iter().try_for_each(|node| sealed(node).map(drop))?;
        }
        self.objects = Some(nodes.len());
        let mut operations = 0;
        while operations < SLICE
            && wanted()
            && let Some(node) = nodes.get(self.done.len())
        {
            let mut sealed = sealed(node)?;
            let last = keep_next_items(&mut sealed, self.last.as_deref());
            let stale = re_encrypt_stale(
                &mut rand::rng(),
                &sealed,
                &self.ring,
                self.v1_data,
                self.primary.key_pair().public_key(),
                wanted,
                &mut operations,
            );
            self.add(stale, last);
        }
        self.account.charge(operations);
        Ok(self)
    }

    /// Adds the stale items of a part of an object; `last` is its last item if there are further ones.
    fn add(&mut self, part: Option<ReEncrypted>, last: Option<String>) {
        let mut stale = std::mem::take(&mut self.begun);
        self.last = last.filter(|_| part.is_some());
        let stale = part.map(|part| {
            stale.encrypted_data.extend(part.encrypted_data);
            stale.data = part.data;
            stale
        });
        match (stale, &self.last) {
            (Some(stale), Some(_)) => self.begun = stale,
            (stale, _) => self.done.push(stale),
        }
    }

    fn is_finished(&self) -> bool {
        self.objects == Some(self.done.len())
    }

    /// Returns true if every object was decrypted.
    fn is_complete(&self) -> bool {
        self.is_finished() && self.done.iter().all(Option::is_some)
    }

    fn headers(&self) -> [(HeaderName, String); 2] {
        let stale: usize = self.done.iter().flatten().map(ReEncrypted::len).sum();
        [(KEY, self.primary.fingerprint().to_string()), (STALE, stale.to_string())]
    }

    /// Returns the body of the answer; `None` if the only object does not decrypt.
    fn answer(self) -> Result<Option<String>, Refusal> {
        let Self { text, mut done, .. } = self;
        let document = only_document(&text).ok_or(Refusal::NotSealedSecrets)?;
        let is_list = items_of_list(&document).is_some();
        // Fields that we do not know are kept.
        let mut sent = serde_json::from_str(&text).unwrap_or_else(|_| json_as_sent(&document.root));
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
}

/// Keeps the items after `last` that fit into one slice, and returns the last one if there are further ones.
fn keep_next_items(sealed: &mut SealedSecret, last: Option<&str>) -> Option<String> {
    let items = std::mem::take(&mut sealed.spec.encrypted_data).into_iter();
    let mut items = items.skip_while(|(name, _)| last.is_some_and(|last| name.as_str() <= last));
    sealed.spec.encrypted_data = items.by_ref().take(SLICE).collect();
    items.next()?;
    sealed.spec.encrypted_data.keys().next_back().cloned()
}

/// Returns the object of a document, or those of a List.
fn objects(document: &Document) -> &[Node] {
    items_of_list(document).unwrap_or(std::slice::from_ref(&document.root))
}

/// Returns the items of a List.
fn items_of_list(document: &Document) -> Option<&[Node]> {
    let kind = document.root.get("kind").and_then(Node::text)?;
    match &document.root.get("items")?.kind {
        NodeKind::Sequence(items) if kind.ends_with("List") => Some(items),
        _ => None,
    }
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
