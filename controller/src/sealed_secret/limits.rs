//! Limits on objects in work: numbers that explain each other, with what was measured. The process has one of each, whatever the
//! number of watched namespaces. Limits on memory and threads are in [`crate::work::limits`].
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

/// Most objects that are decrypted and whose Secrets are not written yet: one burst is written while the next one fills.
pub(crate) const UNWRITTEN: usize = 2 * BURST;

/// The same for a namespace without such an object: admission webhooks that delay writes elsewhere do not delay its first one.
pub(crate) const UNWRITTEN_ALONE: usize = 3 * BURST;

/// Longest wait of a Secret for others of its burst, however long their decryption takes: no user notices it.
pub(crate) const MAX_BURST_WAIT: Duration = Duration::from_millis(200);

/// Most reports that wait while Secrets are still to be written, so that their memory is bounded.
pub(crate) const REPORTS_BEHIND: usize = 2_000;

/// Most objects in work of one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    pub(crate) all: usize,
    pub(crate) of_one: usize,
    /// The same when the namespace has no other object in this work: up to this number it does not wait for others.
    pub(crate) alone: usize,
}

/// Slots for small objects without templates. In the prototype, 4 to 64 objects in work took the same time; 32 keep two
/// processors busy when answers of the API server are slow.
pub(crate) const QUICK: Slots = Slots { all: 32, of_one: 16, alone: 96 };

/// Slots for templates, and the same for large objects. Two of them at a time are rendered, and few fit into the memory for large
/// objects, so the others only wait.
pub(crate) const SLOW: Slots = Slots { all: 16, of_one: 4, alone: 48 };

/// Slots for counting the keys that an object needs, which nobody waits for.
pub(crate) const COUNTING: Slots = Slots { all: 1, of_one: 1, alone: 1 };

/// Most objects of one namespace that are being decrypted or written, without slow ones.
pub(crate) const IN_WORK_OF_ONE: usize = QUICK.of_one + BURST;

/// Slots for live changes, without slow ones. Further changes join the bulk work.
pub(crate) const LIVE: Slots = Slots { all: 40, of_one: 24, alone: 56 };

/// Most objects in work at the same time: bulk work, each kind of slow work, reports and live changes.
#[cfg(test)]
pub(crate) const IN_WORK: usize =
    UNWRITTEN_ALONE + QUICK.alone + 2 * SLOW.alone + COUNTING.alone + BURST + LIVE.alone;

/// Concurrent reconciles of each watch, most of which wait for the API server: as many as there may be objects in work, so that no
/// admitted object waits for a worker, and some more for objects that are deferred.
pub(crate) const WORKERS: u16 = 384;

/// Private-key operations after which an object counts as slow, and takes turns with others of its namespace: 0.3 s.
pub(crate) const SLOW_OPERATIONS: usize = 200;

/// Private-key operations in one slice of counting or of a diagnosis, so that it delays others by 11 ms at most.
pub(crate) const BACKGROUND_SLICE: usize = 8;

/// Private-key operations that the diagnoses of one namespace may take at once: 1.4 s, or five objects.
pub(crate) const DIAGNOSIS_BURST: f64 = 1000.0;

/// Private-key operations that the diagnoses of one namespace may take in each further second: 3 % of one processor.
pub(crate) const DIAGNOSIS_RATE: f64 = 20.0;

/// Largest heap in bytes of an object that needs no permit: objects in work together hold few of them.
pub(crate) const SMALL_OBJECT: usize = 96 << 10;

/// Largest existing Secret in bytes that needs no permit: every object in work may hold one.
pub(crate) const SMALL_SECRET: usize = 16 << 10;
