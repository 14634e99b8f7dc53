//! SealedSecrets: watched, queued, and reconciled by several workers.
//!
//! Objects are watched untyped and decoded one by one, so that a malformed one cannot stop the others.

mod apply;
mod cases;
mod census;
mod chores;
mod desired;
mod fetched;
mod folded;
mod gate;
mod lanes;
mod live;
mod marks;
mod news;
mod object_watch;
mod open;
mod ownership;
mod reconcile;
mod refusal;
mod repairs;
mod rightless;
mod room;
mod round_robin;
mod secret_rules;
mod secret_watch;
mod seen;
mod status;
mod unopened;
mod unseen;
mod untold;
mod versions;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use kube::Api;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, applier, watcher};
use sealed_secrets_crds::SealedSecret;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;

use crate::backoff::WatchBackoff;
use crate::client;
use crate::context::Context;
use crate::error::Failure;
use crate::work_limits::WorkLimits;
pub(crate) use census::need_now;
use folded::Folded;
use news::News;
use room::{Room, key_of, reference};
use versions::Key;

/// Objects in work at the same time, most of which wait for the API server: as many as [`lanes`] admit, so that none waits for a
/// worker, and some that find out that they have no turn yet.
const WORKERS: u16 = 384;

/// Reports at the same time, at the end.
const REPORTERS: usize = 16;

/// How long the reports that were put off may take at the end, of the time that all work has then. What is left is done after the
/// next start, since those objects do not say that they are opened.
const LAST_REPORTS: Duration = Duration::from_secs(3);

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

impl Selection {
    /// Whether every SealedSecret of the cluster is watched.
    pub(crate) fn is_all(&self) -> bool {
        self.namespaces.is_none() && self.labels.is_empty()
    }
}

/// Works until `stop`, then finishes what is in flight.
pub(crate) async fn run(context: Arc<Context>, selection: Selection, stop: CancellationToken) {
    let namespaces = match &selection.namespaces {
        None => vec![None],
        Some(names) => names.iter().cloned().map(Some).collect(),
    };
    let workers = namespaces.into_iter().map(|namespace| work(&context, namespace, &selection, stop.clone()));
    tokio::select! {
        _ = futures::future::join_all(workers) => {}
        () = context.usage.publish(context.ring.clone(), context.metrics.usage()) => {}
        () = begin_nothing_after(&stop, &context.work) => {}
    }
}

/// What is being decrypted when the controller stops ends with the slice, and is done after the next start.
async fn begin_nothing_after(stop: &CancellationToken, work: &WorkLimits) {
    stop.cancelled().await;
    work.close();
    std::future::pending::<()>().await;
}

/// The work of one namespace, or of all. Where a namespace is not there yet, its objects are seen as soon as it is.
async fn work(
    context: &Arc<Context>,
    namespace: Option<String>,
    selection: &Selection,
    stop: CancellationToken,
) {
    let room = Arc::new(Room::new(Arc::clone(context), selection.repair));
    let writer = Writer::new(object_kind());
    let store = writer.as_reader();
    let watched = sealed_secrets(context, namespace.as_deref());
    let triggers = [
        changed_objects(watched, selection, writer, store.clone(), &room),
        changed_secrets(context, namespace.as_deref(), &room, store.clone()),
        Arc::clone(&room.lanes).turns().map(|key| Ok(reference(key))).boxed(),
    ];
    let queue = stream::select_all(triggers).take_until(stop.clone().cancelled_owned()).boxed();
    let reconcile = |object, room| contained(reconcile::reconcile(object, room)).boxed();
    let config = Config::default().concurrency(WORKERS);
    let retry = |object: Arc<_>, failure: &_, room: Arc<_>| reconcile::retry(&object, failure, &room);
    let results = applier(reconcile, retry, Arc::clone(&room), store.clone(), queue, config);
    let results = results.for_each(|result| {
        note_end(&room, &store, result);
        std::future::ready(())
    });
    let all_again = stream::select_all([
        all_on_new_ring(&room, &store).boxed(),
        all_for_whole_view(&room, &store).boxed(),
        all_on_new_prefixes(&room, &store).boxed(),
    ]);
    let all_again = all_again.take_until(stop.clone().cancelled_owned()).collect::<()>();
    tokio::select! {
        _ = futures::future::join(results, all_again) => {}
        () = stopped_before_the_first_list(&stop, &store) => {}
    }
    report_the_rest(&room, &store).await;
}

/// The applier begins, and so ends, only when the store is filled. In a namespace that may not be listed it never is.
async fn stopped_before_the_first_list(stop: &CancellationToken, store: &Store<DynamicObject>) {
    stop.cancelled().await;
    if store.wait_until_ready().now_or_never().is_some() {
        std::future::pending::<()>().await;
    }
}

/// A defect that one object uncovers must not stop the others, wherever it is.
async fn contained(attempt: impl Future<Output = Result<Action, Failure>>) -> Result<Action, Failure> {
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or(Err(Failure::Panicked))
}

fn sealed_secrets(context: &Context, namespace: Option<&str>) -> Api<Folded> {
    match namespace {
        None => Api::all_with(context.client.clone(), &object_kind()),
        Some(name) => Api::namespaced_with(context.client.clone(), name, &object_kind()),
    }
}

/// SealedSecrets that are new or have changed in what matters; what a list shows joins the backlog. Fills the store behind
/// `writer`.
fn changed_objects(
    api: Api<Folded>,
    selection: &Selection,
    writer: Writer<DynamicObject>,
    store: Store<DynamicObject>,
    room: &Arc<Room>,
) -> Queue {
    let mut config = client::watching();
    if !selection.labels.is_empty() {
        config = config.labels(&selection.labels);
    }
    let mut news = News::default();
    let mut follower = object_watch::Follower::new(store, Arc::clone(room));
    watcher(api, config)
        .backoff(WatchBackoff::needed())
        .map_ok(unwrapped)
        .reflect(writer)
        .filter(move |event| std::future::ready(news.is_new(event)))
        .filter_map(move |event| std::future::ready(follower.follow(event).transpose()))
        .boxed()
}

fn unwrapped(event: watcher::Event<Folded>) -> watcher::Event<DynamicObject> {
    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
    match event {
        Apply(Folded(object)) => Apply(object),
        Delete(Folded(object)) => Delete(object),
        Init => Init,
        InitApply(Folded(object)) => InitApply(object),
        InitDone => InitDone,
    }
}

/// SealedSecrets whose Secret has changed or gone: to repair it, or because the obstacle may be gone.
fn changed_secrets(
    context: &Context,
    namespace: Option<&str>,
    room: &Arc<Room>,
    store: Store<DynamicObject>,
) -> Queue {
    let secrets = match namespace {
        None => Api::all(context.client.clone()),
        Some(name) => Api::namespaced(context.client.clone(), name),
    };
    secret_watch::changes(secrets, store, room).map(Ok).boxed()
}

type Outcome =
    Result<(ObjectRef<DynamicObject>, Action), kube::runtime::controller::Error<Failure, watcher::Error>>;

/// Makes room in the lanes, and forgets what has gone meanwhile. Failures of objects are in their status, event and log line
/// already; what is logged here is about the watch.
fn note_end(room: &Room, store: &Store<DynamicObject>, outcome: Outcome) {
    use kube::runtime::controller::Error::{ObjectNotFound, QueueError, ReconcilerFailed, RunnerError};
    let object = match outcome {
        Ok((object, _)) => object,
        Err(ReconcilerFailed(_, object) | ObjectNotFound(object)) => *object,
        Err(QueueError(error)) => {
            return tracing::warn!("watching SealedSecrets: {}", client::watch_in_words(&error));
        }
        Err(RunnerError(error)) => return tracing::error!("the queue of SealedSecrets: {error}"),
    };
    let is_gone = store.get(&object).is_none();
    let key = (object.namespace.unwrap_or_default(), object.name);
    room.lanes.done(&key);
    if is_gone {
        room.forget(&key);
    }
}

/// Every object once more, whenever the key ring has changed.
fn all_on_new_ring(room: &Arc<Room>, store: &Store<DynamicObject>) -> impl Stream<Item = ()> {
    let (room, store) = (Arc::clone(room), store.clone());
    WatchStream::from_changes(room.context.ring.clone()).map(move |_| room.lanes.open_later(all(&store)))
}

/// Every object once more, behind everything else, when somebody wants this process itself to have opened all.
fn all_for_whole_view(room: &Arc<Room>, store: &Store<DynamicObject>) -> impl Stream<Item = ()> {
    let (room, store) = (Arc::clone(room), store.clone());
    WatchStream::from_changes(room.context.usage.whole_view_wanted())
        .map(move |_| room.lanes.look_later(all(&store)))
}

/// Every object once more, behind everything else, when other names are kept for key Secrets: what was refused one may be made now.
fn all_on_new_prefixes(room: &Arc<Room>, store: &Store<DynamicObject>) -> impl Stream<Item = ()> {
    let (room, store) = (Arc::clone(room), store.clone());
    let mut known = room.context.key_prefixes();
    WatchStream::from_changes(room.context.policies.clone()).map(move |_| {
        let now = room.context.key_prefixes();
        if known != now {
            known = now;
            room.lanes.look_later(all(&store));
        }
    })
}

fn all(store: &Store<DynamicObject>) -> Vec<Key> {
    store.state().iter().map(|object| key_of(object)).collect()
}

/// Tells the successes that were put off being told.
async fn report_the_rest(room: &Room, store: &Store<DynamicObject>) {
    let all = stream::iter(room.all_unreported()).for_each_concurrent(REPORTERS, async |(key, success)| {
        if let Some(object) = store.get(&reference(key)) {
            // Failing is no loss: see above.
            let _ = reconcile::report(&object, room, success).await;
        }
    });
    let _ = tokio::time::timeout(LAST_REPORTS, all).await;
}

fn object_kind() -> ApiResource {
    ApiResource::erase::<SealedSecret>(&())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_more_workers_than_objects_in_work() {
        assert!(usize::from(WORKERS) > lanes::MOST, "{}", lanes::MOST);
    }

    #[tokio::test]
    async fn a_panic_is_the_failure_of_one_object() {
        let defect = async { panic!("on purpose") };
        assert!(matches!(contained(defect).await, Err(Failure::Panicked)));
        assert!(contained(async { Ok(Action::await_change()) }).await.is_ok());
    }
}
