//! Work on the SealedSecrets of a request in slices, between which other clients have their turn.
//!
//! The text is parsed once: a slice would otherwise take longer to parse than to decrypt. Parsed, a short text may take a hundred
//! times its length, and many requests wait for their turn at the same time. So only the decoded ciphertexts are kept, and their
//! memory counts as that of the request.

use std::sync::Arc;

use parking_lot::Mutex;
use sealed_secrets_core::keyring::{KeyRing, RingKey};
use sealed_secrets_core::manifest::{Document, Node, NodeKind, only_document, read_stored_sealed_secret};
use sealed_secrets_core::re_encrypt::{ReEncrypted, ReEncryption, Renewal, Wanted};
use sealed_secrets_core::unseal::V1Data;
use sealed_secrets_crds::SealedSecret;

use super::request_handler::{Refusal, RequestHandler};
use crate::http::in_flight::InFlight;
use crate::http::middleware::clients::Client;
use crate::http::middleware::rate_limit::Account;
use crate::work::limits::SLICE;

/// The work of one request.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) client: Client,
    pub(super) text: Arc<str>,
    pub(super) purpose: Purpose,
}

/// The purpose of a request.
#[derive(Clone)]
pub(super) enum Purpose {
    /// Decrypts the items of the only object.
    Verify,
    /// Encrypts the items of the only object again.
    Rotate,
    /// Encrypts stale items of all objects again, and charges the private-key operations.
    RotateStale(Account),
}

/// The outcome of a request.
pub(super) struct Outcome {
    /// For each object its new ciphertexts; `None` if it does not decrypt.
    pub(super) objects: Vec<Option<ReEncrypted>>,
    /// The primary key, if the ring has one.
    pub(super) primary: Option<Arc<RingKey>>,
}

impl Outcome {
    fn is_complete(&self) -> bool {
        self.objects.iter().all(Option::is_some)
    }

    /// Returns the outcome of the only object.
    pub(super) fn only(mut self) -> Option<ReEncrypted> {
        self.objects.pop().flatten()
    }
}

impl RequestHandler {
    /// Does the work. If an object does not decrypt, does it once more with the ring of a later list of the keys.
    pub(super) async fn in_slices(&self, job: &Job, in_flight: &Mutex<InFlight>) -> Result<Outcome, Refusal> {
        self.with_keys(|ring| self.attempt(job.clone(), in_flight, ring), Outcome::is_complete).await
    }

    async fn attempt(
        &self,
        job: Job,
        in_flight: &Mutex<InFlight>,
        ring: Arc<KeyRing>,
    ) -> Result<Outcome, Refusal> {
        let (client, v1_data, length) = (job.client, self.v1_data, job.text.len());
        let begin = move |wanted: Wanted<'_>| {
            let mut work = Work::parse(job, &ring, v1_data)?;
            let heap = work.objects.heap();
            work.advance(wanted);
            Ok((work, heap))
        };
        let (mut work, heap) = self.in_turn(client, begin).await?;
        in_flight.lock().keep_in_all(length + heap).ok_or(Refusal::TooManyInFlight)?;
        while !work.objects.is_finished() {
            let proceed = move |wanted: Wanted<'_>| {
                work.advance(wanted);
                Ok(work)
            };
            work = self.in_turn(client, proceed).await?;
        }
        Ok(Outcome { objects: work.objects.into_outcomes(), primary: work.primary })
    }
}

/// Work that has begun.
struct Work {
    purpose: Purpose,
    primary: Option<Arc<RingKey>>,
    objects: ReEncryption,
}

impl Work {
    fn parse(Job { text, purpose, .. }: Job, ring: &KeyRing, v1_data: V1Data) -> Result<Self, Refusal> {
        let primary = ring.primary().cloned();
        let refusal = purpose.refusal();
        let document = only_document(&text).ok_or(refusal)?;
        let mut objects = ReEncryption::new(ring, purpose.renewal(primary.as_deref())?);
        for node in purpose.nodes(&document) {
            objects.add(&sealed_secret_at(&document, node).ok_or(refusal)?, v1_data);
        }
        Ok(Self { purpose, primary, objects })
    }

    /// Processes one slice, and charges it, also if the client is gone.
    fn advance(&mut self, wanted: Wanted<'_>) {
        let Ok(renewal) = self.purpose.renewal(self.primary.as_deref()) else { return };
        let operations = self.objects.advance(&mut rand::rng(), renewal, SLICE, wanted);
        if let Purpose::RotateStale(account) = &self.purpose {
            account.charge(operations);
        }
    }
}

impl Purpose {
    fn renewal<'a>(&self, primary: Option<&'a RingKey>) -> Result<Renewal<'a>, Refusal> {
        let key = primary.map(|primary| primary.key_pair().public_key());
        match self {
            Self::Verify => Ok(Renewal::Nothing),
            Self::Rotate => key.map(Renewal::All).ok_or(Refusal::NoKey),
            Self::RotateStale(_) => key.map(Renewal::Stale).ok_or(Refusal::NoKey),
        }
    }

    /// Returns the refusal of another text.
    fn refusal(&self) -> Refusal {
        match self {
            Self::Verify | Self::Rotate => Refusal::NotOneSealedSecret,
            Self::RotateStale(_) => Refusal::NotSealedSecrets,
        }
    }

    fn nodes<'a>(&self, document: &'a Document) -> &'a [Node] {
        match self {
            Self::Verify | Self::Rotate => std::slice::from_ref(&document.root),
            Self::RotateStale(_) => objects(document),
        }
    }
}

/// Returns the object of a document, or those of a List.
fn objects(document: &Document) -> &[Node] {
    items_of_list(document).unwrap_or(std::slice::from_ref(&document.root))
}

/// Returns the items of a List.
pub(super) fn items_of_list(document: &Document) -> Option<&[Node]> {
    let kind = document.root.get("kind").and_then(Node::text)?;
    match &document.root.get("items")?.kind {
        NodeKind::Sequence(items) if kind.ends_with("List") => Some(items),
        _ => None,
    }
}

/// Reads the SealedSecret at a node that states its kind and apiVersion.
fn sealed_secret_at(document: &Document, node: &Node) -> Option<SealedSecret> {
    let names_itself = ["kind", "apiVersion"].into_iter().all(|field| node.get(field).is_some());
    read_stored_sealed_secret(document, node).ok().filter(|_| names_itself)
}
