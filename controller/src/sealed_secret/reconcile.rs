//! The story of one SealedSecret: open it, write its Secret, tell what happened.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::unseal::{Renderer, Unsealed};
use sealed_secrets_crds::SealedSecret;

use super::{apply, desired, status};
use crate::context::Context;
use crate::error::Failure;
use crate::surroundings::Surroundings;

/// Until the key Secrets have been read nothing can be said of any object; the first ring queues them all again.
const NO_RING_YET: Duration = Duration::from_secs(5);

/// Brings the Secret of `object` to what the object describes. Every attempt ends with its status.
///
/// # Errors
/// Why the Secret is not so; [`retry`] says when to try again.
pub(super) async fn reconcile(object: Arc<DynamicObject>, context: Arc<Context>) -> Result<Action, Failure> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let Some(ring) = context.ring.borrow().clone() else {
        return Ok(Action::requeue(NO_RING_YET));
    };
    context.metrics.attempted();
    // A defect that one object uncovers must not stop the others.
    let attempt = AssertUnwindSafe(unseal_and_apply(&object, &ring, &context)).catch_unwind();
    let outcome = attempt.await.unwrap_or(Err(Failure::Panicked));
    log(&object, &outcome);
    status::report(&context, &object, outcome.as_ref().err()).await?;
    outcome.map(|()| {
        context.backoff.succeeded(&key_of(&object));
        Action::await_change()
    })
}

/// When to try an object again that has failed: sooner the first times, and never later than five minutes.
pub(super) fn retry(object: &DynamicObject, failure: &Failure, context: &Context) -> Action {
    let namespace = object.namespace().unwrap_or_default();
    context.metrics.failed(failure.metric_reason(), &namespace);
    Action::requeue(context.backoff.failed(key_of(object), rand::random()))
}

fn key_of(object: &DynamicObject) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

async fn unseal_and_apply(
    object: &DynamicObject,
    ring: &Arc<KeyRing>,
    context: &Context,
) -> Result<(), Failure> {
    let sealed = Arc::new(decode(object)?);
    let Unsealed { secret, volatile } = open(Arc::clone(&sealed), Arc::clone(ring), context).await?;
    desired::refuse_key_planting(&secret, &context.namespace, &context.key_prefix)?;
    let kept = if desired::has_opened_before(&sealed) { volatile } else { BTreeSet::new() };
    apply::apply(&context.client, &sealed, secret, &kept).await
}

/// The typed object. The cause is the decoder's: it names the field, and everything in the object is public.
fn decode(object: &DynamicObject) -> Result<SealedSecret, Failure> {
    let value = serde_json::to_value(object).map_err(|error| Failure::Malformed(error.to_string()))?;
    serde_json::from_value(value).map_err(|error| Failure::Malformed(error.to_string()))
}

/// Decrypts and renders on a thread that may block. Objects with templates wait for each other only, so that slow ones never
/// stop those without.
async fn open(sealed: Arc<SealedSecret>, ring: Arc<KeyRing>, context: &Context) -> Result<Unsealed, Failure> {
    let has_templates = sealed.spec.template.data.as_ref().is_some_and(|templates| !templates.is_empty());
    let turn = if has_templates { &context.rendering } else { &context.decryption };
    let permit = turn.acquire().await.map_err(|_| Failure::Panicked)?;
    let (v1_data, budget) = (context.v1_data, context.template_budget.clone());
    let work = move || {
        let mut surroundings = Surroundings::from_now();
        let mut renderer = Renderer { budget: &budget, sources: &mut surroundings };
        desired::desired(&sealed, &ring, v1_data, &mut renderer)
    };
    let opened = tokio::task::spawn_blocking(work).await;
    drop(permit);
    opened.map_err(|_| Failure::Panicked)?
}

fn log(object: &DynamicObject, outcome: &Result<(), Failure>) {
    let (namespace, name) = key_of(object);
    match outcome {
        Ok(()) => tracing::info!(namespace, name, "SealedSecret unsealed"),
        Err(failure) => tracing::error!(namespace, name, "{}", failure.event_message()),
    }
}
