//! Decrypts and renders on threads that may block, making way for other objects after each slice of private-key operations.

use std::sync::Arc;

use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::{Opening, SLICE, Step, V1Data};
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, UnsealError, Unsealed};
use sealed_secrets_crds::SealedSecret;

use super::desired::desired;
use crate::context::Context;
use crate::error::Failure;
use crate::surroundings::Surroundings;

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

/// What an object opened to, and the fingerprints of the keys that did it.
pub(super) struct Outcome {
    pub(super) unsealed: Unsealed,
    pub(super) keys: Vec<Fingerprint>,
}

enum Slice {
    Unfinished(Opening),
    Done(Box<Outcome>),
}

/// Opens the object and makes its Secret. Objects with templates wait for each other only, so that slow ones never stop those
/// without.
///
/// # Errors
/// When it does not open or render.
pub(super) async fn open(job: Job, context: &Context) -> Result<Outcome, Failure> {
    let templates = job.sealed.spec.template.data.as_ref();
    let has_templates = templates.is_some_and(|templates| !templates.is_empty());
    let turn = if has_templates { &context.rendering } else { &context.decryption };
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
        match worked.map_err(|_| Failure::Panicked)?? {
            Slice::Unfinished(rest) => opening = Some(rest),
            Slice::Done(outcome) => return Ok(*outcome),
        }
    }
}

fn slice(job: &Job, begun: Option<Opening>) -> Result<Slice, Failure> {
    let opening = match begun {
        Some(opening) => opening,
        None => {
            Opening::new(&job.sealed, &job.ring, job.v1_data, &job.preferred).map_err(UnsealError::from)?
        }
    };
    let opened = match opening.advance(SLICE) {
        Step::Unfinished(rest) => return Ok(Slice::Unfinished(rest)),
        Step::Finished(opened) => opened.map_err(UnsealError::from)?,
    };
    let mut surroundings = Surroundings::from_now();
    let mut renderer = Renderer { budget: &job.budget, sources: &mut surroundings };
    let unsealed = desired(&job.sealed, opened.content, &mut renderer)?;
    Ok(Slice::Done(Box::new(Outcome { unsealed, keys: opened.keys })))
}
