//! Decrypts and renders on threads that may block, making way for other objects after each slice of private-key operations.

use std::sync::Arc;
use std::time::Instant;

use kube::ResourceExt as _;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::{Content, Finished, Opening, Step, V1Data};
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, UnsealError, Unsealed};
use sealed_secrets_crds::SealedSecret;
use tokio::task::spawn_blocking;

use super::desired::desired;
use crate::error::Failure;
use crate::fair_semaphore::{Permit, Turn};
use crate::surroundings::Surroundings;
use crate::usage::Tally;
use crate::work_limits::{SLICE, WorkLimits};

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

/// The permit to render the templates of one object, charged by the time that it is held.
pub(super) struct Rendering {
    permit: Permit,
    since: Instant,
}

impl Rendering {
    /// Waits for the permit; `None` when the controller stops before.
    pub(super) async fn of(namespace: &str, limits: &WorkLimits) -> Option<Self> {
        let permit = limits.rendering.acquire(namespace, 1, Turn::New).await?;
        Some(Self { permit, since: Instant::now() })
    }

    fn end(self) {
        self.permit.charge(u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}

/// What an object opened to, if it did, and what its items needed.
pub(super) struct Outcome {
    pub(super) unsealed: Result<Unsealed, Failure>,
    pub(super) tally: Tally,
}

enum Slice {
    Unfinished(Opening),
    /// Nothing is left to decrypt; templates are to be rendered.
    Opened(Box<Finished>),
    Done(Box<Outcome>),
}

/// Private-key operations after which an object takes long, and alternates with others of its namespace.
const LONG: usize = 200;

/// Opens the object and makes its Secret; `None` when the controller stops before, or it takes longer than one slice and `may_go_on`
/// says no. Between slices, and before templates are rendered, other namespaces have their turn, unless there is a permit already.
///
/// # Errors
/// When that cannot be told.
pub(super) async fn open(
    job: Job,
    limits: &WorkLimits,
    rendering: Option<Rendering>,
    may_go_on: impl Fn() -> bool,
) -> Result<Option<Outcome>, Failure> {
    let job = Arc::new(job);
    let namespace = job.sealed.namespace().unwrap_or_default();
    let (mut opening, mut used) = (None, 0);
    let finished = loop {
        let Some(permit) = limits.decryption.acquire(&namespace, 1, turn_after(used)).await else {
            return Ok(None);
        };
        let work = {
            let job = Arc::clone(&job);
            move || slice(&job, opening)
        };
        let (sliced, operations) = spawn_blocking(work).await.map_err(|_| Failure::Panicked)?;
        used += operations;
        permit.charge(u64::try_from(operations).unwrap_or(u64::MAX));
        match sliced {
            Slice::Unfinished(_) if !may_go_on() => return Ok(None),
            Slice::Unfinished(rest) => opening = Some(rest),
            Slice::Opened(finished) => break *finished,
            Slice::Done(outcome) => return Ok(Some(*outcome)),
        }
    };
    let rendering = match rendering {
        None => Rendering::of(&namespace, limits).await,
        permit => permit,
    };
    let Some(rendering) = rendering else { return Ok(None) };
    let outcome = spawn_blocking(move || job.outcome(finished)).await;
    rendering.end();
    outcome.map(Some).map_err(|_| Failure::Panicked)
}

fn turn_after(operations: usize) -> Turn {
    match operations {
        0 => Turn::New,
        LONG.. => Turn::Slow,
        _ => Turn::Continued,
    }
}

impl Job {
    fn has_templates(&self) -> bool {
        self.sealed.spec.template.data.as_ref().is_some_and(|templates| !templates.is_empty())
    }

    fn outcome(&self, finished: Finished) -> Outcome {
        let tally = Tally::of(finished.keys, finished.unopened);
        let content = finished.outcome.map_err(|error| UnsealError::from(error).into());
        Outcome { unsealed: content.and_then(|content| render(self, content)), tally }
    }
}

/// The next slice, and the private-key operations that it took.
fn slice(job: &Job, begun: Option<Opening>) -> (Slice, usize) {
    let mut left = SLICE;
    let begun = begun.map_or_else(|| Opening::new(&job.sealed, &job.ring, job.v1_data, &job.preferred), Ok);
    let finished = match begun.map(|opening| opening.advance(&mut left)) {
        Ok(Step::Unfinished(rest)) => return (Slice::Unfinished(rest), SLICE),
        Ok(Step::Finished(finished)) => finished,
        Err(error) => Finished { outcome: Err(error), keys: Vec::new(), unopened: items(&job.sealed) },
    };
    let sliced = if job.has_templates() && finished.outcome.is_ok() {
        Slice::Opened(Box::new(finished))
    } else {
        Slice::Done(Box::new(job.outcome(finished)))
    };
    (sliced, SLICE - left)
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
