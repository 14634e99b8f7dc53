//! Decryption and rendering on threads that may block, in slices of private-key operations, so that objects take turns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use kube::ResourceExt as _;
use sealed_secrets_core::decryption::{Content, Decryption, Finished, Step, V1Data};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::template::Budget;
use sealed_secrets_core::unseal::{Renderer, UnsealError, Unsealed};
use sealed_secrets_core::weight::heap_for;
use sealed_secrets_crds::SealedSecret;
use tokio::task::spawn_blocking;

use crate::error::Failure;
use crate::sealed_secret::limits::{SLOW_OPERATIONS, SMALL_OBJECT};
use crate::sealed_secret::secret::apply::size;
use crate::sealed_secret::secret::desired::desired;
use crate::template_sources::TemplateSources;
use crate::usage::ObjectKeyUsage;
use crate::work::fair_semaphore::{Permit, WorkClass};
use crate::work::limits::{SLICE, WorkLimits};

/// Input of a decryption.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) sealed: Arc<SealedSecret>,
    pub(crate) ring: Arc<KeyRing>,
    /// Fingerprints of the keys that decrypted it before: they are tried first.
    pub(crate) preferred: Vec<String>,
    pub(crate) v1_data: V1Data,
    pub(crate) budget: Budget,
}

/// Permit to render the templates of one object, charged by the time for which it is held.
pub(crate) struct Rendering {
    permit: Permit,
    since: Instant,
}

impl Rendering {
    /// Waits for the permit; returns `None` when the controller stops before.
    pub(crate) async fn of(namespace: &str, limits: &WorkLimits) -> Option<Self> {
        let permit = limits.rendering.acquire(namespace, 1, WorkClass::New).await?;
        Some(Self { permit, since: Instant::now() })
    }

    fn end(self) {
        self.permit.charge(u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}

/// Result of a decryption, and the keys that the items needed.
pub(crate) struct Outcome {
    pub(crate) unsealed: Result<Unsealed, Failure>,
    pub(crate) object_usage: ObjectKeyUsage,
    /// Permit for the memory of a large Secret that templates have made of a small object, until dropped.
    pub(crate) memory: Option<Permit>,
}

enum Slice {
    Unfinished(Decryption),
    /// Every item is decrypted; templates are still to be rendered.
    Decrypted(Box<Finished>),
    Finished(Box<Outcome>),
}

/// Decrypts the object and renders its Secret. Returns `None` when the controller stops before, or when one slice is not enough
/// and `continue_slowly` returns false. Between slices, and before the rendering without a permit, other namespaces take their
/// turns.
///
/// # Errors
/// When a task panics.
pub(crate) async fn decrypt(
    job: Job,
    limits: &WorkLimits,
    rendering: Option<Rendering>,
    continue_slowly: impl Fn() -> bool,
) -> Result<Option<Outcome>, Failure> {
    let job = Arc::new(job);
    let namespace = job.sealed.namespace().unwrap_or_default();
    let (mut decryption, mut used) = (None, 0);
    let finished = loop {
        let Some(permit) = limits.decryption.acquire(&namespace, 1, work_class(used)).await else {
            return Ok(None);
        };
        let work = {
            let job = Arc::clone(&job);
            move || slice(&job, decryption)
        };
        let (sliced, operations) = spawn_blocking(work).await.map_err(|_| Failure::Panicked)?;
        used += operations;
        permit.charge(u64::try_from(operations).unwrap_or(u64::MAX));
        match sliced {
            Slice::Unfinished(_) if !continue_slowly() => return Ok(None),
            Slice::Unfinished(rest) => decryption = Some(rest),
            Slice::Decrypted(finished) => break *finished,
            Slice::Finished(outcome) => return Ok(Some(*outcome)),
        }
    };
    let holds_memory = rendering.is_some();
    let rendering = match rendering {
        None => Rendering::of(&namespace, limits).await,
        permit => permit,
    };
    let Some(rendering) = rendering else { return Ok(None) };
    // The work owns the permit: the caller may stop waiting before the work ends.
    let work = move || (job.outcome(finished), rendering);
    let (mut outcome, rendering) = spawn_blocking(work).await.map_err(|_| Failure::Panicked)?;
    if !holds_memory && let Some(heap) = large_heap(&outcome) {
        // Holding the permit for rendering, so that few Secrets wait for memory at the same time: they take it already.
        outcome.memory = limits.memory.acquire(&namespace, heap, WorkClass::New).await;
        if outcome.memory.is_none() {
            return Ok(None);
        }
    }
    rendering.end();
    Ok(Some(outcome))
}

/// Returns the heap that writing the Secret takes, if that is much.
fn large_heap(outcome: &Outcome) -> Option<usize> {
    let secret = &outcome.unsealed.as_ref().ok()?.secret;
    let items = secret.data.as_ref().map_or(0, BTreeMap::len);
    Some(heap_for(size(secret), items)).filter(|heap| *heap > SMALL_OBJECT)
}

fn work_class(operations: usize) -> WorkClass {
    match operations {
        0 => WorkClass::New,
        SLOW_OPERATIONS.. => WorkClass::Slow,
        _ => WorkClass::Continued,
    }
}

impl Job {
    fn has_templates(&self) -> bool {
        self.sealed.spec.template.data.as_ref().is_some_and(|templates| !templates.is_empty())
    }

    fn outcome(&self, finished: Finished) -> Outcome {
        let object_usage = ObjectKeyUsage::of(finished.keys, finished.undecryptable);
        let content = finished.outcome.map_err(|error| UnsealError::from(error).into());
        let unsealed = content.and_then(|content| render(self, content));
        Outcome { unsealed, object_usage, memory: None }
    }
}

/// Runs the next slice, and returns the number of its private-key operations too.
fn slice(job: &Job, begun: Option<Decryption>) -> (Slice, usize) {
    let mut left = SLICE;
    let begun =
        begun.map_or_else(|| Decryption::new(&job.sealed, &job.ring, job.v1_data, &job.preferred), Ok);
    let finished = match begun.map(|decryption| decryption.advance(&mut left)) {
        Ok(Step::Unfinished(rest)) => return (Slice::Unfinished(rest), SLICE),
        Ok(Step::Finished(finished)) => finished,
        Err(error) => Finished { outcome: Err(error), keys: Vec::new(), undecryptable: items(&job.sealed) },
    };
    let sliced = if job.has_templates() && finished.outcome.is_ok() {
        Slice::Decrypted(Box::new(finished))
    } else {
        Slice::Finished(Box::new(job.outcome(finished)))
    };
    (sliced, SLICE - left)
}

fn render(job: &Job, content: Content) -> Result<Unsealed, Failure> {
    let mut template_sources = TemplateSources::from_now();
    let mut renderer = Renderer { budget: &job.budget, sources: &mut template_sources };
    desired(&job.sealed, content, &mut renderer)
}

fn items(sealed: &SealedSecret) -> u32 {
    let items = sealed.spec.encrypted_data.len() + usize::from(sealed.spec.data.is_some());
    u32::try_from(items).unwrap_or(u32::MAX)
}
