//! SealedSecrets: watched, queued, and reconciled by several workers.
//!
//! Objects are watched untyped and decoded one by one, so that a malformed one cannot stop the others.

mod apply;
mod desired;
mod ownership;
mod reconcile;
mod status;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::controller::Config;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{PredicateConfig, WatchStreamExt as _, applier, watcher};
use kube::{Api, ResourceExt as _};
use sealed_secrets_crds::{Scope, SealedSecret};
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// Objects in work at the same time: most of them wait for the API server.
const WORKERS: u16 = 32;

type Queue = BoxStream<'static, Result<ObjectRef<DynamicObject>, watcher::Error>>;

/// Works until `stop`, then finishes what is in flight. `namespaces` of `None` are all.
pub(crate) async fn run(context: Arc<Context>, namespaces: Option<Vec<String>>, stop: CancellationToken) {
    let kind = ApiResource::erase::<SealedSecret>(&());
    let apis = match namespaces {
        None => vec![Api::all_with(context.client.clone(), &kind)],
        Some(names) => {
            let api = |name: String| Api::namespaced_with(context.client.clone(), &name, &kind);
            names.into_iter().map(api).collect()
        }
    };
    let workers = apis.into_iter().map(|api| work(Arc::clone(&context), api, kind.clone(), stop.clone()));
    futures::future::join_all(workers).await;
}

async fn work(context: Arc<Context>, api: Api<DynamicObject>, kind: ApiResource, stop: CancellationToken) {
    let writer = Writer::new(kind.clone());
    let store = writer.as_reader();
    let changed = watcher(api, watcher::Config::default())
        .default_backoff()
        .modify(drop_what_is_not_needed)
        .reflect(writer)
        .applied_objects()
        .predicate_filter(|object: &DynamicObject| Some(what_matters(object)), PredicateConfig::default())
        .map(move |object| object.map(|object| ObjectRef::from_obj_with(&object, kind.clone())));
    let queue: Queue = stream::select(changed, all_on_new_ring(&context, store.clone()))
        .take_until(stop.cancelled_owned())
        .boxed();
    let reconcile = |object, context| reconcile::reconcile(object, context).boxed();
    let config = Config::default().concurrency(WORKERS);
    let retry = |object: Arc<_>, failure: &_, context: Arc<_>| reconcile::retry(&object, failure, &context);
    let results = applier(reconcile, retry, context, store, queue, config);
    results.for_each(async |result| log(result)).await;
}

type Outcome = Result<
    (ObjectRef<DynamicObject>, kube::runtime::controller::Action),
    kube::runtime::controller::Error<crate::error::Failure, watcher::Error>,
>;

/// Failures of objects are in their status, event and log line already; here it is about the watch.
fn log(outcome: Outcome) {
    if let Err(kube::runtime::controller::Error::QueueError(error)) = outcome {
        tracing::warn!("watching SealedSecrets: {error}");
    }
}

/// Every object once more, whenever the key ring has changed.
fn all_on_new_ring(context: &Context, store: Store<DynamicObject>) -> Queue {
    let changes = WatchStream::from_changes(context.ring.clone());
    let all = move |_| {
        stream::iter(store.state()).map(|object| Ok(ObjectRef::from_obj_with(&*object, object_kind())))
    };
    changes.flat_map(all).boxed()
}

fn object_kind() -> ApiResource {
    ApiResource::erase::<SealedSecret>(&())
}

/// Keeps memory flat: neither is ever read.
fn drop_what_is_not_needed(object: &mut DynamicObject) {
    object.managed_fields_mut().clear();
    object.annotations_mut().remove(sealed_secrets_crds::names::KUBECTL_LAST_APPLIED_ANNOTATION);
}

/// Changes of anything else, above all of the status that we write, are no reason to work.
fn what_matters(object: &DynamicObject) -> u64 {
    let mut hasher = DefaultHasher::new();
    let metadata = &object.metadata;
    (&metadata.uid, metadata.generation, metadata.deletion_timestamp.is_some()).hash(&mut hasher);
    Scope::from_annotations(metadata.annotations.as_ref()).hash(&mut hasher);
    hasher.finish()
}
