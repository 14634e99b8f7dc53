//! Decrypts and renders on threads that may block, making way for other objects after each slice of private-key operations.

use std::sync::Arc;

use kube::ResourceExt as _;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::{Content, Finished, Opening, SLICE, Step, V1Data};
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, UnsealError, Unsealed};
use sealed_secrets_crds::SealedSecret;

use super::desired::desired;
use super::places::{Kind, Place};
use super::room::Room;
use super::versions::Key;
use crate::error::Failure;
use crate::surroundings::Surroundings;
use crate::usage::Tally;

/// An object that is to be opened.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) sealed: Arc<SealedSecret>,
    pub(super) ring: Arc<KeyRing>,
    /// Fingerprints of keys that opened it before: they are tried first.
    pub(super) preferred: Vec<String>,
    pub(super) v1_data: V1Data,
    pub(super) budget: Budget,
}

/// What an object opened to, if it did, and what its items needed.
pub(super) struct Outcome {
    pub(super) unsealed: Result<Unsealed, Failure>,
    pub(super) tally: Tally,
}

enum Slice {
    Unfinished(Opening),
    Done(Box<Outcome>),
}

/// Opens the object and makes its Secret; `None` when it takes longer than it may without a `place`, and none is free. Objects
/// with templates wait for each other only, so that slow ones never stop those without.
///
/// # Errors
/// When that cannot be told.
pub(super) async fn open(job: Job, room: &Room, place: Option<Place>) -> Result<Option<Outcome>, Failure> {
    let (key, kind) = (job.key(), job.kind());
    let turn = match kind {
        Some(Kind::Templates) => &room.context.rendering,
        Some(Kind::Long) | None => &room.context.decryption,
    };
    let mut place = match kind.filter(|_| place.is_none()) {
        None => place,
        Some(kind) => match room.places.take(kind, &key) {
            None => return Ok(None),
            place => place,
        },
    };
    let job = Arc::new(job);
    let mut opening = None;
    loop {
        let permit = turn.acquire().await.map_err(|_| Failure::Panicked)?;
        let work = {
            let job = Arc::clone(&job);
            move || slice(&job, opening)
        };
        let worked = tokio::task::spawn_blocking(work).await;
        drop(permit);
        match worked.map_err(|_| Failure::Panicked)? {
            Slice::Unfinished(rest) => opening = Some(rest),
            Slice::Done(outcome) => return Ok(Some(*outcome)),
        }
        if place.as_ref().is_none_or(|place| place.kind != Kind::Long) {
            place = room.places.take(Kind::Long, &key);
            if place.is_none() {
                return Ok(None);
            }
        }
    }
}

impl Job {
    fn key(&self) -> Key {
        (self.sealed.namespace().unwrap_or_default(), self.sealed.name_any())
    }

    /// Why this object is known to need a place.
    fn kind(&self) -> Option<Kind> {
        let spec = &self.sealed.spec;
        let has_templates = spec.template.data.as_ref().is_some_and(|templates| !templates.is_empty());
        let is_long = spec.encrypted_data.len() > SLICE;
        has_templates.then_some(Kind::Templates).or(is_long.then_some(Kind::Long))
    }
}

fn slice(job: &Job, begun: Option<Opening>) -> Slice {
    let begun = begun.map_or_else(|| Opening::new(&job.sealed, &job.ring, job.v1_data, &job.preferred), Ok);
    let finished = match begun.map(|opening| opening.advance(SLICE)) {
        Ok(Step::Unfinished(rest)) => return Slice::Unfinished(rest),
        Ok(Step::Finished(finished)) => finished,
        Err(error) => Finished { outcome: Err(error), keys: Vec::new(), unopened: items(&job.sealed) },
    };
    let tally = Tally::of(finished.keys, finished.unopened);
    let content = finished.outcome.map_err(|error| UnsealError::from(error).into());
    let unsealed = content.and_then(|content| render(job, content));
    Slice::Done(Box::new(Outcome { unsealed, tally }))
}

fn render(job: &Job, content: Content) -> Result<Unsealed, Failure> {
    let mut surroundings = Surroundings::from_now();
    let mut renderer = Renderer { budget: &job.budget, sources: &mut surroundings };
    desired(&job.sealed, content, &mut renderer)
}

fn items(sealed: &SealedSecret) -> u32 {
    let items = sealed.spec.encrypted_data.len() + usize::from(sealed.spec.data.is_some());
    u32::try_from(items).unwrap_or(u32::MAX)
}
