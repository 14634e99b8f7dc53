//! Limits on objects in flight: numbers that explain each other, with what was measured. The process has one of each, whatever
//! the number of watched namespaces. Limits on memory and threads are in [`crate::work::limits`].
//! Sizes of single things stand beside the code that they are about: they explain none of these.
//!
//! Measured on two cores that also ran the API server and etcd, with 1,000 objects of two items; one private-key operation took
//! 1.4 ms. Figures without a source are chosen, not measured.

use std::time::Duration;

/// Secrets of the bulk work that are written together. As many objects are reported at the same time, so that a slow answer of
/// the API server does not decide how long a first sync takes.
///
/// In a prototype a first sync took 2.29 s with Secrets written one by one and 1.99 s in bursts of 64. Bursts of 32 are as fast as
/// those of 64, and save 3 MB for connections (docs/benchmarks.md).
pub(crate) const BURST: usize = 32;

/// Maximum number of objects that are decrypted and whose Secrets are not written yet: one burst is written while the next fills.
pub(crate) const UNWRITTEN: usize = 2 * BURST;

/// The same for a namespace without such an object: admission webhooks that delay writes elsewhere do not delay its first one.
pub(crate) const UNWRITTEN_WITH_FIRST: usize = 3 * BURST;

/// Longest wait of a Secret for others of its burst, however long their decryption takes: no user notices it.
pub(crate) const MAX_BURST_WAIT: Duration = Duration::from_millis(200);

/// Maximum number of reports that wait while Secrets are still to be written, so that their memory is bounded.
pub(crate) const REPORTS_BEHIND: usize = 2_000;

/// Reports that are made at the same time while Secrets of other namespaces are still to be written: enough that a namespace does
/// not wait for what another has queued, and few enough that they hardly delay those Secrets.
pub(crate) const REPORTS_BESIDE: usize = 4;

/// Maximum number of objects in flight of one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    pub(crate) total: usize,
    pub(crate) per_namespace: usize,
    /// The total up to which the first object of a namespace is admitted: it does not wait for those of others.
    pub(crate) first_of_namespace: usize,
}

/// Slots for small objects without templates. In the prototype, 4 to 64 objects in flight took the same time; 32 keep two
/// processors busy when answers of the API server are slow.
pub(crate) const QUICK: Slots = Slots { total: 32, per_namespace: 16, first_of_namespace: 96 };

/// Slots for templates, and the same for large objects. Two of them at a time are rendered, and few fit into the memory for large
/// objects, so the others only wait.
pub(crate) const SLOW: Slots = Slots { total: 16, per_namespace: 4, first_of_namespace: 48 };

/// Slots for diagnoses: one for a namespace, so that none keeps the others waiting for the first diagnosis of an object.
pub(crate) const DIAGNOSIS: Slots = Slots { total: 4, per_namespace: 1, first_of_namespace: 4 };

/// Slots for counting the keys that an object needs, which nobody waits for.
pub(crate) const COUNTING: Slots = Slots { total: 1, per_namespace: 1, first_of_namespace: 1 };

/// Maximum number of objects of one namespace that are being decrypted or written, without slow ones.
pub(crate) const IN_FLIGHT_PER_NAMESPACE: usize = QUICK.per_namespace + BURST;

/// Slots for live edits, without slow ones. Further edits join the bulk work.
pub(crate) const LIVE: Slots = Slots { total: 40, per_namespace: 24, first_of_namespace: 56 };

/// Maximum number of objects in flight at the same time: bulk work, each kind of slow work, reports and live edits.
#[cfg(test)]
pub(crate) const IN_FLIGHT: usize = UNWRITTEN_WITH_FIRST
    + QUICK.first_of_namespace
    + 2 * SLOW.first_of_namespace
    + DIAGNOSIS.first_of_namespace
    + COUNTING.first_of_namespace
    + BURST
    + LIVE.first_of_namespace;

/// Concurrent status updates at shutdown.
pub(crate) const REPORTERS: usize = 16;

/// Concurrent reconciles of each watch, most of which wait for the API server: as many as there may be objects in flight, so that
/// no admitted object waits for a worker, and some more for objects that are deferred. The work of the process is bounded by the
/// work queue, which all watches share, and not by this number: one namespace alone may have all objects in flight.
pub(crate) const WORKERS: u16 = 384;

/// Private-key operations after which an object counts as slow, and takes turns with others of its namespace: 0.3 s.
pub(crate) const SLOW_OPERATIONS: usize = 200;

/// Private-key operations in one slice of counting or of a diagnosis, so that it delays others by 11 ms at most.
pub(crate) const BACKGROUND_SLICE: usize = 8;

/// Private-key operations that the diagnoses of one namespace may take at once: 1.4 s, or five objects.
pub(crate) const DIAGNOSIS_BURST: f64 = 1000.0;

/// Private-key operations that the diagnoses of one namespace may take in each further second: 3 % of one processor.
pub(crate) const DIAGNOSIS_RATE: f64 = 20.0;

/// Largest heap in bytes of an object that needs no permit: objects in flight together hold few of them.
pub(crate) const SMALL_OBJECT: usize = 96 << 10;

/// Largest existing Secret in bytes that needs no permit: every object in flight may hold one.
pub(crate) const SMALL_SECRET: usize = 16 << 10;
