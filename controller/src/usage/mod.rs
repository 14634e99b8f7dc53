//! Key usage: the keys that the SealedSecrets of the cluster need, recorded per object and published as a sum.

pub(crate) mod live;
mod metrics;
pub(crate) mod sum;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sealed_secrets_core::decryption::KeyUse;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::rotation::UsageReport;
use tokio::sync::{Notify, watch};

use crate::keystore::publish::RingReceiver;
use crate::sealed_secret::object::{ObjectKey, ObjectVersion};
pub(crate) use metrics::UsageMetrics;
pub(crate) use sum::Usage;

/// Changes within this time are published together.
const PAUSE: Duration = Duration::from_secs(1);

/// Time after a failure of the watch in which events may have been missed. A watch that keeps failing reports failures
/// at shorter intervals.
const WATCH_GRACE: Duration = Duration::from_mins(1);

/// The key usage of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectKeyUsage {
    /// Keys that decrypt items.
    pub(crate) keys: Box<[KeyUse]>,
    /// Items that do not decrypt.
    pub(crate) undecryptable: u32,
    /// The origin of this information.
    pub(crate) source: Source,
}

impl ObjectKeyUsage {
    /// Creates a result of this process.
    pub(crate) fn of(keys: Vec<KeyUse>, undecryptable: u32) -> Self {
        Self { keys: keys.into(), undecryptable, source: Source::ThisProcess }
    }
}

/// The origin of an [`ObjectKeyUsage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The status, written by an earlier process: for display only.
    Status,
    /// This process has tried every item itself.
    ThisProcess,
}

/// Records the keys that every SealedSecret needs, and publishes the sum.
#[derive(Debug)]
pub(crate) struct KeyUsageIndex {
    /// True if all namespaces are watched, without a label selector.
    watches_all: bool,
    state: Mutex<IndexState>,
    changed: Notify,
    report_requested: watch::Sender<bool>,
    publisher: watch::Sender<Usage>,
}

#[derive(Debug, Default)]
struct IndexState {
    objects: HashMap<ObjectKey, Entry>,
    listed: bool,
    /// True while a list is being read that may contain objects that the watch has missed.
    is_reading: bool,
    /// True if there are objects of which nothing is recorded, until the next list.
    has_untracked: bool,
    watch_failed: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    version: ObjectVersion,
    usage: Option<ObjectKeyUsage>,
}

impl KeyUsageIndex {
    /// Creates an index. `watches_all` is true if every SealedSecret of the cluster will be recorded.
    pub(crate) fn new(watches_all: bool) -> Self {
        Self {
            watches_all,
            state: Mutex::default(),
            changed: Notify::new(),
            report_requested: watch::Sender::new(false),
            publisher: watch::Sender::new(Usage::default()),
        }
    }

    /// Returns a receiver of the sum, which changes about once a second at most.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Usage> {
        self.publisher.subscribe()
    }

    /// Requests that this process tries every item itself, with the lowest priority: [`Usage::report`] depends on it.
    pub(crate) fn request_report(&self) {
        self.report_requested.send_if_modified(|requested| !std::mem::replace(requested, true));
    }

    /// Returns a receiver of the request for a complete report.
    pub(crate) fn report_requested(&self) -> watch::Receiver<bool> {
        self.report_requested.subscribe()
    }

    /// Adds an object in this version, and drops the usage of any other version.
    pub(crate) fn expect(&self, object: ObjectKey, version: ObjectVersion) {
        let mut state = self.state.lock();
        let known = state.objects.get(&object).is_some_and(|entry| entry.version == version);
        if !known {
            state.objects.insert(object, Entry { version, usage: None });
            self.changed.notify_one();
        }
    }

    /// Records that all objects are being listed, initially or again: until that is done, objects may be missing.
    pub(crate) fn listing(&self) {
        let mut state = self.state.lock();
        state.is_reading = true;
        state.has_untracked = false;
        drop(state);
        self.changed.notify_one();
    }

    /// Records that there is an object of which nothing is recorded, for want of memory.
    pub(crate) fn record_untracked(&self) {
        let was_known = std::mem::replace(&mut self.state.lock().has_untracked, true);
        if !was_known {
            self.changed.notify_one();
        }
    }

    /// Records that all existing objects are known.
    pub(crate) fn listed(&self) {
        let mut state = self.state.lock();
        state.listed = true;
        state.is_reading = false;
        self.changed.notify_one();
    }

    /// Records a failure of the watch: until it has worked for a while, objects may be missing.
    pub(crate) fn watch_failed(&self) {
        self.state.lock().watch_failed = Some(Instant::now());
        self.changed.notify_one();
    }

    /// Records the usage of this version of an object, and ignores a version that is not expected, any more or yet. A usage that this
    /// process has determined is not replaced by that of a status.
    pub(crate) fn note(&self, object: &ObjectKey, version: ObjectVersion, usage: ObjectKeyUsage) {
        let mut state = self.state.lock();
        let entry = state.objects.get_mut(object).filter(|entry| entry.version == version);
        let Some(entry) = entry else { return };
        let is_outranked = usage.source == Source::Status && entry.is_own();
        if !is_outranked && entry.usage.as_ref() != Some(&usage) {
            entry.usage = Some(usage);
            self.changed.notify_one();
        }
    }

    /// Removes an object that is gone or needs no key.
    pub(crate) fn forget(&self, object: &ObjectKey) {
        if self.state.lock().objects.remove(object).is_some() {
            self.changed.notify_one();
        }
    }

    /// Returns the known key usage of this version of an object.
    pub(crate) fn get(&self, object: &ObjectKey, version: ObjectVersion) -> Option<ObjectKeyUsage> {
        let state = self.state.lock();
        state.objects.get(object).filter(|entry| entry.version == version)?.usage.clone()
    }

    /// Returns true if a complete report was requested and this process has not yet tried the items of the object.
    pub(crate) fn needs_decryption(&self, object: &ObjectKey) -> bool {
        *self.report_requested.borrow()
            && self.state.lock().objects.get(object).is_some_and(|entry| !entry.is_own())
    }

    /// Returns the current [`Usage::report`], from everything that is recorded and not yet published.
    pub(crate) fn report(&self, ring: &KeyRing) -> Option<UsageReport> {
        self.sum(ring).0.report
    }

    /// Returns the sum, and the remaining time in which events may have been missed.
    fn sum(&self, ring: &KeyRing) -> (Usage, Option<Duration>) {
        let state = self.state.lock();
        let grace = state.watch_grace_left(Instant::now());
        (state.sum(self.watches_all, grace.is_none(), ring), grace)
    }

    /// Publishes the sum after each change, immediately after a change of the ring. Never returns.
    pub(crate) async fn publish(&self, mut ring: RingReceiver, metrics: &UsageMetrics) {
        loop {
            let keys = ring.borrow_and_update().clone().unwrap_or_default();
            let (usage, grace) = self.sum(&keys);
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
                () = tokio::time::sleep(grace.unwrap_or_default()), if grace.is_some() => {}
            }
        }
    }

    /// Forgets everything, at the end of a term: the next one begins with its own lists.
    pub(crate) fn reset(&self, metrics: &UsageMetrics) {
        *self.state.lock() = IndexState::default();
        self.report_requested.send_replace(false);
        self.publisher.send_replace(Usage::default());
        metrics.clear();
    }
}

impl Entry {
    /// Returns true if this process has tried an item of it and could not decrypt it.
    fn fails(&self) -> bool {
        self.is_own() && self.usage.as_ref().is_some_and(|usage| usage.undecryptable > 0)
    }

    fn is_own(&self) -> bool {
        self.usage.as_ref().is_some_and(|usage| usage.source == Source::ThisProcess)
    }
}

impl IndexState {
    /// Returns the remaining time in which events may have been missed.
    fn watch_grace_left(&self, now: Instant) -> Option<Duration> {
        let grace = WATCH_GRACE.saturating_sub(now.saturating_duration_since(self.watch_failed?));
        (!grace.is_zero()).then_some(grace)
    }

    fn sum(&self, watches_all: bool, missed_nothing: bool, ring: &KeyRing) -> Usage {
        let mut usage = Usage { objects: self.objects.len() as u64, ..Usage::default() };
        for object in self.objects.values().filter_map(|entry| entry.usage.as_ref()) {
            usage.undecryptable_items += u64::from(object.undecryptable);
            usage.items += u64::from(object.undecryptable);
            for KeyUse { fingerprint, items } in &object.keys {
                let of_key = usage.by_key.entry(fingerprint.clone()).or_default();
                of_key.objects += 1;
                of_key.items += u64::from(*items);
                usage.items += u64::from(*items);
            }
        }
        let knows_all = self.listed && !self.has_untracked;
        usage.complete = knows_all && self.objects.values().all(|entry| entry.usage.is_some());
        let undecryptable = self.objects.values().any(Entry::fails);
        let has_tried_all = knows_all && !self.is_reading && self.objects.values().all(Entry::is_own);
        let all_on_ring = usage.by_key.keys().all(|key| ring.fingerprint(key.as_str()).is_some());
        usage.report = if undecryptable || !watches_all {
            // The usage is irrelevant then, and would only cause further updates.
            Some(UsageReport { undecryptable, partial: !watches_all, ..UsageReport::default() })
        } else {
            let used = || usage.by_key.keys().cloned().collect::<BTreeSet<_>>();
            (missed_nothing && has_tried_all && all_on_ring)
                .then(|| UsageReport { used: used(), ..UsageReport::default() })
        };
        usage
    }
}

#[cfg(test)]
mod tests;
