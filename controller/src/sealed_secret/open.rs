//! Decrypts and renders on threads that may block, making way for other objects after each slice of private-key operations.

use std::sync::Arc;

use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::{Content, Finished, Opening, SLICE, Step, V1Data};
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, UnsealError, Unsealed};
use sealed_secrets_crds::SealedSecret;

use super::desired::desired;
use crate::context::Context;
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

/// Opens the object and makes its Secret. Objects with templates wait for each other only, so that slow ones never stop those
/// without.
///
/// # Errors
/// When that cannot be told.
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
        match worked.map_err(|_| Failure::Panicked)? {
            Slice::Unfinished(rest) => opening = Some(rest),
            Slice::Done(outcome) => return Ok(*outcome),
        }
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
