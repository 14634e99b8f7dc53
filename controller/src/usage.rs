//! Which keys the SealedSecrets of the cluster need: noted object by object, published in sum.

mod metrics;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::opening::KeyUse;
use sealed_secrets_core::rotation::Need;
use tokio::sync::{Notify, watch};

use crate::context::RingReceiver;
pub(crate) use metrics::UsageMetrics;

/// Changes within this time are published together.
const PAUSE: Duration = Duration::from_secs(1);

/// So long after a failure of the watch it may have missed something. One that goes on failing does so more often.
const DOUBT: Duration = Duration::from_mins(1);

/// Namespace and name of a SealedSecret.
type Object = (String, String);

/// What in the cluster needs one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyUsage {
    /// SealedSecrets with at least one item that this key opens.
    pub(crate) objects: u64,
    /// Items that this key opens.
    pub(crate) items: u64,
}

/// What in the cluster needs which key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Keys that open at least one item.
    pub(crate) by_key: BTreeMap<Fingerprint, KeyUsage>,
    /// SealedSecrets, whether they open or not.
    pub(crate) objects: u64,
    /// Items of those that were looked at, whether they open or not.
    pub(crate) items: u64,
    /// Items that no key of the ring opens; all of an object that has not the shape of a SealedSecret.
    pub(crate) undecryptable_items: u64,
    /// Whether the SealedSecrets were listed and each was looked at. Until then the numbers are too small.
    pub(crate) complete: bool,
    /// What decides on keys that go: whole only when this process itself has tried every item of the cluster, and every key that
    /// opened one is still on the ring. There also as soon as it is known that it cannot be whole.
    pub(crate) need: Option<Need>,
}

impl Usage {
    /// Items that open, and not with this key; none when no key leads.
    pub(crate) fn stale_items(&self, primary: Option<&Fingerprint>) -> u64 {
        let others = self.by_key.iter().filter(|(key, _)| primary.is_some_and(|primary| primary != *key));
        others.map(|(_, usage)| usage.items).sum()
    }
}

/// What is known of the items of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Keys that open items.
    pub(crate) keys: Box<[KeyUse]>,
    /// Items that do not open.
    pub(crate) unopened: u32,
    /// Who says so.
    pub(crate) witness: Witness,
}

impl Tally {
    /// What this process has found out.
    pub(crate) fn of(keys: Vec<KeyUse>, unopened: u32) -> Self {
        Self { keys: keys.into(), unopened, witness: Witness::ThisProcess }
    }
}

/// Where a [`Tally`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Witness {
    /// The status, as an earlier process has left it: good for display only.
    Status,
    /// This process has tried every item itself.
    ThisProcess,
}

/// Notes what every SealedSecret needs, and publishes the sum.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Whether all namespaces are watched, without a label selector.
    watches_all: bool,
    book: Mutex<Book>,
    changed: Notify,
    whole_view_wanted: watch::Sender<bool>,
    publisher: watch::Sender<Usage>,
}

#[derive(Debug, Default)]
struct Book {
    objects: HashMap<Object, Entry>,
    listed: bool,
    /// A list is being read that may hold what the watch has missed.
    is_reading: bool,
    watch_failed: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    version: u64,
    tally: Option<Tally>,
}

impl Ledger {
    /// `watches_all` says whether every SealedSecret of the cluster will be noted.
    pub(crate) fn new(watches_all: bool) -> Self {
        Self {
            watches_all,
            book: Mutex::default(),
            changed: Notify::new(),
            whole_view_wanted: watch::Sender::new(false),
            publisher: watch::Sender::new(Usage::default()),
        }
    }

    /// Follows the sum, which changes about once a second at most.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Usage> {
        self.publisher.subscribe()
    }

    /// Asks that this process tries every item itself, after everything else that it has to do: [`Usage::need`] depends on it.
    pub(crate) fn want_whole_view(&self) {
        self.whole_view_wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
    }

    /// Whether somebody has asked for a whole view.
    pub(crate) fn whole_view_wanted(&self) -> watch::Receiver<bool> {
        self.whole_view_wanted.subscribe()
    }

    /// An object is there, in this version; what was known of another version is void.
    pub(crate) fn expect(&self, object: Object, version: u64) {
        let mut book = self.lock();
        let known = book.objects.get(&object).is_some_and(|entry| entry.version == version);
        if !known {
            book.objects.insert(object, Entry { version, tally: None });
            self.changed.notify_one();
        }
    }

    /// All objects are listed, for the first time or anew: until that is done, nobody knows whether those expected are all.
    pub(crate) fn listing(&self) {
        self.lock().is_reading = true;
        self.changed.notify_one();
    }

    /// All objects that there are have been expected.
    pub(crate) fn listed(&self) {
        let mut book = self.lock();
        book.listed = true;
        book.is_reading = false;
        self.changed.notify_one();
    }

    /// The watch of objects has failed: until it has worked for a while, nobody knows whether these are all.
    pub(crate) fn watch_failed(&self) {
        self.lock().watch_failed = Some(Instant::now());
        self.changed.notify_one();
    }

    /// Notes what this version of an object needs; one that is not expected, any more or yet, is passed over. What this process
    /// has seen itself is not replaced by what a status says.
    pub(crate) fn note(&self, object: &Object, version: u64, tally: Tally) {
        let mut book = self.lock();
        let entry = book.objects.get_mut(object).filter(|entry| entry.version == version);
        let Some(entry) = entry else { return };
        let knows_better = tally.witness == Witness::Status && entry.is_own();
        if !knows_better && entry.tally.as_ref() != Some(&tally) {
            entry.tally = Some(tally);
            self.changed.notify_one();
        }
    }

    /// The object is gone, or needs nothing any more.
    pub(crate) fn forget(&self, object: &Object) {
        if self.lock().objects.remove(object).is_some() {
            self.changed.notify_one();
        }
    }

    /// What is known of this version of an object.
    pub(crate) fn tally(&self, object: &Object, version: u64) -> Option<Tally> {
        let book = self.lock();
        book.objects.get(object).filter(|entry| entry.version == version)?.tally.clone()
    }

    /// Whether this process itself is still to try the items of an object, because a whole view is wanted.
    pub(crate) fn wants_opening(&self, object: &Object) -> bool {
        *self.whole_view_wanted.borrow()
            && self.lock().objects.get(object).is_some_and(|entry| !entry.is_own())
    }

    /// [`Usage::need`] as it is at this moment, by what is noted already and not yet published.
    pub(crate) fn need(&self, ring: &KeyRing) -> Option<Need> {
        self.sum(ring).0.need
    }

    /// The sum, and for how long it is still doubtful that nothing was missed.
    fn sum(&self, ring: &KeyRing) -> (Usage, Option<Duration>) {
        let book = self.lock();
        let doubt = book.doubt(Instant::now());
        (book.sum(self.watches_all, doubt.is_none(), ring), doubt)
    }

    /// Never ends: publishes the sum when something has changed, at once when it is the ring.
    pub(crate) async fn publish(&self, mut ring: RingReceiver, metrics: &UsageMetrics) {
        loop {
            let keys = ring.borrow_and_update().clone().unwrap_or_default();
            let (usage, doubt) = self.sum(&keys);
            metrics.note(&usage, &keys);
            self.publisher.send_if_modified(|published| {
                let changed = *published != usage;
                *published = usage;
                changed
            });
            let changed = async {
                self.changed.notified().await;
                tokio::time::sleep(PAUSE).await;
            };
            tokio::select! {
                Ok(()) = ring.changed() => {}
                () = changed => {}
                () = tokio::time::sleep(doubt.unwrap_or_default()), if doubt.is_some() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Whether this process has tried an item of it in vain.
    fn fails(&self) -> bool {
        self.is_own() && self.tally.as_ref().is_some_and(|tally| tally.unopened > 0)
    }

    fn is_own(&self) -> bool {
        self.tally.as_ref().is_some_and(|tally| tally.witness == Witness::ThisProcess)
    }
}

impl Book {
    /// For how long it is still doubtful that nothing was missed.
    fn doubt(&self, now: Instant) -> Option<Duration> {
        let doubt = DOUBT.saturating_sub(now.saturating_duration_since(self.watch_failed?));
        (!doubt.is_zero()).then_some(doubt)
    }

    fn sum(&self, watches_all: bool, missed_nothing: bool, ring: &KeyRing) -> Usage {
        let mut usage = Usage { objects: self.objects.len() as u64, ..Usage::default() };
        for tally in self.objects.values().filter_map(|entry| entry.tally.as_ref()) {
            usage.undecryptable_items += u64::from(tally.unopened);
            usage.items += u64::from(tally.unopened);
            for KeyUse { fingerprint, items } in &tally.keys {
                let of_key = usage.by_key.entry(fingerprint.clone()).or_default();
                of_key.objects += 1;
                of_key.items += u64::from(*items);
                usage.items += u64::from(*items);
            }
        }
        usage.complete = self.listed && self.objects.values().all(|entry| entry.tally.is_some());
        let undecryptable = self.objects.values().any(Entry::fails);
        let has_tried_all = self.listed && !self.is_reading && self.objects.values().all(Entry::is_own);
        let all_on_ring = usage.by_key.keys().all(|key| ring.fingerprint(key.as_str()).is_some());
        usage.need = if undecryptable || !watches_all {
            // What else is used does not matter then, and would only be news again and again.
            Some(Need { undecryptable, partial: !watches_all, ..Need::default() })
        } else {
            let used = || usage.by_key.keys().cloned().collect::<BTreeSet<_>>();
            (missed_nothing && has_tried_all && all_on_ring).then(|| Need { used: used(), ..Need::default() })
        };
        usage
    }
}

#[cfg(test)]
mod tests;
