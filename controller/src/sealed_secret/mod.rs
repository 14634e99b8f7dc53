//! SealedSecrets: watched, queued, and reconciled by several workers.
//!
//! The watch delivers untyped objects, which are decoded one by one, so that a malformed object cannot stop the others.

pub(crate) mod background;
pub(crate) mod decrypt;
#[cfg(any(test, fuzzing))]
mod fuzzed;
mod limits;
pub(crate) mod object;
mod object_state;
pub(crate) mod queue;
mod reconcile;
mod report;
pub(crate) mod secret;
pub(crate) mod state;
mod status;
#[cfg(test)]
mod tests;
pub(crate) mod watch;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use kube::Api;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, applier, watcher};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_stream::wrappers::{UnboundedReceiverStream, WatchStream};
use tokio_util::sync::CancellationToken;

use crate::api::backoff::WatchBackoff;
use crate::api::client;
use crate::context::Context;
use crate::error::Failure;
use crate::work::limits::WorkLimits;
#[cfg(any(test, fuzzing))]
pub use fuzzed::sealed_secret;
use limits::{REPORTERS, WORKERS};
use object::ObjectKey;
use queue::priority_queue::PriorityQueue;
use state::ObjectStates;
use watch::log_dedup::LogDedup;
use watch::raw::RawSealedSecret;

/// Time for the deferred reports at shutdown, out of the whole grace period. Missing reports are made after the next start, since
/// those objects do not say that they are unsealed.
const LAST_REPORTS: Duration = Duration::from_secs(3);

/// The watch of each namespace, or the one of all namespaces, by the sender of the objects whose turn it is.
type Watches = HashMap<Option<String>, UnboundedSender<ObjectKey>>;

type Queue = BoxStream<'static, Result<ObjectRef<RawSealedSecret>, watcher::Error>>;

/// Selection of the objects to watch.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// `None` selects all namespaces.
    pub(crate) namespaces: Option<Vec<String>>,
    /// Label selector for SealedSecrets, not for Secrets; empty for all.
    pub(crate) labels: String,
    /// Edited and deleted Secrets are repaired.
    pub(crate) repair: bool,
}

impl Selection {
    /// Returns true if every SealedSecret of the cluster is watched.
    pub(crate) fn is_all(&self) -> bool {
        self.namespaces.is_none() && self.labels.is_empty()
    }
}

/// Reconciles until `stop`, then finishes the work in flight.
pub(crate) async fn run(context: Arc<Context>, selection: Selection, stop: CancellationToken) {
    let namespaces = match &selection.namespaces {
        None => vec![None],
        Some(names) => names.iter().cloned().map(Some).collect(),
    };
    let reporters = Semaphore::new(REPORTERS);
    let (mut watches, mut workers) = (Watches::new(), Vec::new());
    for namespace in namespaces {
        let (watch, admitted) = mpsc::unbounded_channel();
        watches.insert(namespace.clone(), watch);
        workers.push(work(
            &context,
            namespace,
            UnboundedReceiverStream::new(admitted),
            &selection,
            &reporters,
            stop.clone(),
        ));
    }
    tokio::select! {
        _ = futures::future::join_all(workers) => {}
        () = context.usage.publish(context.ring.clone(), context.metrics.usage()) => {}
        () = close_limits_on_stop(&stop, &context.work) => {}
        () = pass_admitted_objects(&context.queue, &watches, &stop) => {}
    }
}

/// Passes each object that the queue admits to the watch of its namespace, until `stop`. The limits of the queue bound the number
/// of objects on the way. Never returns.
async fn pass_admitted_objects(queue: &Arc<PriorityQueue>, watches: &Watches, stop: &CancellationToken) {
    let admitted = Arc::clone(queue).next_objects().take_until(stop.cancelled());
    let passed = admitted.for_each(|key| {
        let watch = watches.get(&Some(key.namespace.clone())).or_else(|| watches.get(&None));
        // Without its watch an object has no worker that ends its attempt.
        if watch.is_none_or(|watch| watch.send(key.clone()).is_err()) {
            queue.done(&key);
        }
        std::future::ready(())
    });
    passed.await;
    std::future::pending::<()>().await;
}

/// Closes the work limits at `stop`: a decryption in flight ends with its slice, and is repeated after the next start.
async fn close_limits_on_stop(stop: &CancellationToken, work: &WorkLimits) {
    stop.cancelled().await;
    work.close();
    std::future::pending::<()>().await;
}

/// Watches and reconciles one namespace, or all. A namespace may be created later: its objects are noticed at once.
async fn work(
    context: &Arc<Context>,
    namespace: Option<String>,
    admitted: UnboundedReceiverStream<ObjectKey>,
    selection: &Selection,
    reporters: &Semaphore,
    stop: CancellationToken,
) {
    let states = Arc::new(ObjectStates::new(Arc::clone(context), selection.repair));
    let writer = Writer::new(());
    let store = writer.as_reader();
    let watched = sealed_secrets(context, namespace.as_deref());
    let triggers = [
        changed_objects(watched, selection, writer, store.clone(), &states),
        changed_secrets(context, namespace.as_deref(), &states, store.clone()),
        admitted.map(|key| Ok(key.reference())).boxed(),
    ];
    let queue = stream::select_all(triggers).take_until(stop.clone().cancelled_owned()).boxed();
    let reconcile = |object, states| contained(reconcile::reconcile(object, states)).boxed();
    let config = Config::default().concurrency(WORKERS);
    let retry = |object: Arc<_>, failure: &_, states: Arc<_>| reconcile::retry(&object, failure, &states);
    let results = applier(reconcile, retry, Arc::clone(&states), store.clone(), queue, config);
    let results = results.for_each(|result| {
        note_end(&states, &store, result);
        std::future::ready(())
    });
    let all_again = stream::select_all([
        all_when_secrets_are_listed(&states, &store).boxed(),
        all_on_new_ring(&states, &store).boxed(),
        all_for_usage_report(&states, &store).boxed(),
        all_on_new_prefixes(&states, &store).boxed(),
    ]);
    let all_again = all_again.take_until(stop.clone().cancelled_owned()).collect::<()>();
    tokio::select! {
        _ = futures::future::join(results, all_again) => {}
        () = watch::over_limit::report_all(&states) => {}
        () = stopped_before_the_first_list(&stop, &store) => {}
    }
    report_the_rest(&states, &store, reporters).await;
}

/// Returns when the controller stops before the first list. The applier ends only with a filled store, and in a namespace that
/// may not be listed the store is never filled.
async fn stopped_before_the_first_list(stop: &CancellationToken, store: &Store<RawSealedSecret>) {
    stop.cancelled().await;
    if store.wait_until_ready().now_or_never().is_some() {
        std::future::pending::<()>().await;
    }
}

/// Turns a panic of an attempt into a failure of its object, so that the others go on.
async fn contained(attempt: impl Future<Output = Result<Action, Failure>>) -> Result<Action, Failure> {
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or(Err(Failure::Panicked))
}

fn sealed_secrets(context: &Context, namespace: Option<&str>) -> Api<RawSealedSecret> {
    match namespace {
        None => Api::all(context.client.clone()),
        Some(name) => Api::namespaced(context.client.clone(), name),
    }
}

/// Yields SealedSecrets that are new or have changed in anything that an attempt depends on; those of a list join the bulk work.
/// Fills the store behind `writer`.
fn changed_objects(
    api: Api<RawSealedSecret>,
    selection: &Selection,
    writer: Writer<RawSealedSecret>,
    store: Store<RawSealedSecret>,
    states: &Arc<ObjectStates>,
) -> Queue {
    let mut config = client::watching();
    if !selection.labels.is_empty() {
        config = config.labels(&selection.labels);
    }
    let mut log_dedup = LogDedup::default();
    let mut admission = watch::admission::Admission::new(store.clone(), Arc::clone(states));
    let mut follower = watch::objects::Follower::new(store, Arc::clone(states));
    watched_anew(api, config, Arc::clone(states))
        .backoff(WatchBackoff::required())
        .try_filter_map(move |event| std::future::ready(Ok(admission.admit(event))))
        .reflect(writer)
        .filter(move |event| std::future::ready(log_dedup.record(event)))
        .filter_map(move |event| std::future::ready(follower.follow(event).transpose()))
        .boxed()
}

/// Watches, beginning with a list. Lists again when there is memory for objects over the limit.
fn watched_anew(
    api: Api<RawSealedSecret>,
    config: watcher::Config,
    states: Arc<ObjectStates>,
) -> impl Stream<Item = watcher::Result<watcher::Event<RawSealedSecret>>> {
    let watched = move || {
        let states = Arc::clone(&states);
        let there_is_room = async move { watch::over_limit::until_there_is_room(&states).await };
        watcher(api.clone(), config.clone()).take_until(there_is_room)
    };
    stream::repeat_with(watched).flatten()
}

/// Yields SealedSecrets whose Secret was changed or deleted: it may need a repair, or an obstacle may be gone.
fn changed_secrets(
    context: &Context,
    namespace: Option<&str>,
    states: &Arc<ObjectStates>,
    store: Store<RawSealedSecret>,
) -> Queue {
    let secrets = match namespace {
        None => Api::all(context.client.clone()),
        Some(name) => Api::namespaced(context.client.clone(), name),
    };
    watch::secrets::changes(secrets, store, states).map(Ok).boxed()
}

type Outcome =
    Result<(ObjectRef<RawSealedSecret>, Action), kube::runtime::controller::Error<Failure, watcher::Error>>;

/// Ends the work on an object in the queue, and forgets the object if it was deleted meanwhile. Failures of objects are in their
/// status, event and log line already; only those of the watch are logged here.
fn note_end(states: &ObjectStates, store: &Store<RawSealedSecret>, outcome: Outcome) {
    use kube::runtime::controller::Error::{ObjectNotFound, QueueError, ReconcilerFailed, RunnerError};
    let key = match outcome {
        Ok((object, _)) => ObjectKey::from(object),
        Err(ReconcilerFailed(_, object) | ObjectNotFound(object)) => ObjectKey::from(*object),
        Err(QueueError(error)) => {
            return tracing::warn!("watching SealedSecrets: {}", client::describe_watch_error(&error));
        }
        Err(RunnerError(error)) => return tracing::error!("the queue of SealedSecrets: {error}"),
    };
    let is_gone = store.get(&key.reference()).is_none();
    states.context.queue.done(&key);
    if is_gone {
        states.forget(&key);
    }
}

/// Queues every object once the first list of Secrets is complete, or has failed: before that none can be judged.
fn all_when_secrets_are_listed(
    states: &Arc<ObjectStates>,
    store: &Store<RawSealedSecret>,
) -> impl Stream<Item = ()> {
    let (states, store) = (Arc::clone(states), store.clone());
    stream::once(async move {
        states.secrets_listed.wait().await;
        states.context.queue.add_bulk(all(&states, &store));
    })
}

/// Queues every object whenever the key ring has changed.
fn all_on_new_ring(states: &Arc<ObjectStates>, store: &Store<RawSealedSecret>) -> impl Stream<Item = ()> {
    let (states, store) = (Arc::clone(states), store.clone());
    WatchStream::from_changes(states.context.ring.clone())
        .map(move |_| states.context.queue.add_bulk(all(&states, &store)))
}

/// Queues every object, behind everything else, when the keystore requests a complete usage report.
fn all_for_usage_report(
    states: &Arc<ObjectStates>,
    store: &Store<RawSealedSecret>,
) -> impl Stream<Item = ()> {
    let (states, store) = (Arc::clone(states), store.clone());
    WatchStream::from_changes(states.context.usage.report_requested())
        .map(move |_| states.context.queue.add_background(all(&states, &store)))
}

/// Queues every object, behind everything else, when the prefixes of key Secrets change: a refused name may be allowed now.
fn all_on_new_prefixes(states: &Arc<ObjectStates>, store: &Store<RawSealedSecret>) -> impl Stream<Item = ()> {
    let (states, store) = (Arc::clone(states), store.clone());
    let mut known = states.context.key_prefixes();
    WatchStream::from_changes(states.context.policies.clone()).map(move |_| {
        let now = states.context.key_prefixes();
        if known != now {
            known = now;
            states.context.queue.add_background(all(&states, &store));
        }
    })
}

/// Returns every object, or none before the first list of Secrets: an object that waited for it would keep its slot from those of
/// other namespaces, and all are queued then.
fn all(states: &ObjectStates, store: &Store<RawSealedSecret>) -> Vec<ObjectKey> {
    if !states.secrets_listed.initialized() {
        return Vec::new();
    }
    store.state().iter().map(|object| ObjectKey::of(&**object)).collect()
}

/// Makes the deferred reports. The watches share `reporters`.
async fn report_the_rest(states: &ObjectStates, store: &Store<RawSealedSecret>, reporters: &Semaphore) {
    let all = stream::iter(states.all_unreported()).for_each_concurrent(REPORTERS, async |(key, success)| {
        let _permit = reporters.acquire().await;
        if let Some(object) = store.get(&key.reference()) {
            // A failure is harmless: see [`LAST_REPORTS`].
            let _ = report::report(&object, states, success).await;
        }
    });
    if tokio::time::timeout(LAST_REPORTS, all).await.is_err() {
        let left = states.all_unreported().len();
        tracing::info!("{left} unsealed SealedSecrets are not reported yet: the next start reports them");
    }
}
