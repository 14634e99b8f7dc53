//! SealedSecrets: watched, queued, and reconciled by several workers.
//!
//! Objects are watched untyped and decoded one by one, so that a malformed one cannot stop the others.

mod apply;
mod desired;
mod gate;
mod open;
mod ownership;
mod reconcile;
mod repairs;
mod room;
mod secret_watch;
mod status;
mod versions;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
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

use crate::client;
use crate::context::Context;
use room::Room;

/// Objects in work at the same time: most of them wait for the API server.
const WORKERS: u16 = 32;

type Queue = BoxStream<'static, Result<ObjectRef<DynamicObject>, watcher::Error>>;

/// What to watch.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// `None` are all.
    pub(crate) namespaces: Option<Vec<String>>,
    /// A label selector for SealedSecrets, not for Secrets; empty for all.
    pub(crate) labels: String,
    /// Whether Secrets that were edited or deleted are put back.
    pub(crate) repair: bool,
}

/// Works until `stop`, then finishes what is in flight.
pub(crate) async fn run(context: Arc<Context>, selection: Selection, stop: CancellationToken) {
    let namespaces = match &selection.namespaces {
        None => vec![None],
        Some(names) => names.iter().cloned().map(Some).collect(),
    };
    let workers = namespaces.into_iter().map(|namespace| work(&context, namespace, &selection, stop.clone()));
    futures::future::join_all(workers).await;
}

/// The work of one namespace, or of all. Where a namespace is not there yet, its objects are seen as soon as it is.
async fn work(
    context: &Arc<Context>,
    namespace: Option<String>,
    selection: &Selection,
    stop: CancellationToken,
) {
    let room = Arc::new(Room::new(Arc::clone(context)));
    let writer = Writer::new(object_kind());
    let store = writer.as_reader();
    let triggers = [
        changed_objects(sealed_secrets(context, namespace.as_deref()), selection, writer, Arc::clone(&room)),
        all_on_new_ring(context, store.clone()),
        changed_secrets(context, namespace.as_deref(), selection, &room, store.clone()),
    ];
    let queue = stream::select_all(triggers).take_until(stop.cancelled_owned()).boxed();
    let reconcile = |object, room| reconcile::reconcile(object, room).boxed();
    let config = Config::default().concurrency(WORKERS);
    let retry = |object: Arc<_>, failure: &_, room: Arc<_>| reconcile::retry(&object, failure, &room);
    let results = applier(reconcile, retry, room, store, queue, config);
    results.for_each(async |result| log(result)).await;
}

fn sealed_secrets(context: &Context, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        None => Api::all_with(context.client.clone(), &object_kind()),
        Some(name) => Api::namespaced_with(context.client.clone(), name, &object_kind()),
    }
}

/// SealedSecrets that are new or have changed in what matters. Fills the store behind `writer`.
fn changed_objects(
    api: Api<DynamicObject>,
    selection: &Selection,
    writer: Writer<DynamicObject>,
    room: Arc<Room>,
) -> Queue {
    let mut config = client::watching();
    if !selection.labels.is_empty() {
        config = config.labels(&selection.labels);
    }
    let listed = Arc::clone(&room);
    let open_when_listed = move |event: &watcher::Event<DynamicObject>| {
        if matches!(event, watcher::Event::InitDone) {
            listed.objects_listed.open();
        }
    };
    let forget_deleted = move |event: &watcher::Event<DynamicObject>| {
        if let watcher::Event::Delete(object) = event {
            room.forget(object);
        }
    };
    watcher(api, config)
        .default_backoff()
        .inspect_ok(forget_deleted)
        .modify(drop_what_is_not_needed)
        .reflect(writer)
        .inspect_ok(open_when_listed)
        .applied_objects()
        .predicate_filter(|object: &DynamicObject| Some(what_matters(object)), PredicateConfig::default())
        .map(|object| object.map(|object| ObjectRef::from_obj_with(&object, object_kind())))
        .boxed()
}

/// SealedSecrets whose Secret has changed or gone: to repair it, or because the obstacle may be gone.
fn changed_secrets(
    context: &Context,
    namespace: Option<&str>,
    selection: &Selection,
    room: &Arc<Room>,
    store: Store<DynamicObject>,
) -> Queue {
    let secrets = match namespace {
        None => Api::all(context.client.clone()),
        Some(name) => Api::namespaced(context.client.clone(), name),
    };
    let repair = selection.repair;
    let wanted = {
        let store = store.clone();
        move |object: &ObjectRef<DynamicObject>| {
            let opened = |object: &DynamicObject| {
                status::has_opened(&status::read(object), object.metadata.generation)
            };
            let wanted = repair || !store.get(object).is_some_and(|object| opened(&object));
            std::future::ready(wanted)
        }
    };
    secret_watch::changes(secrets, store, room).filter(wanted).map(Ok).boxed()
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
