//! The memory of SealedSecrets, for all watched namespaces together: half of the container's memory.
//!
//! Everything that tenants control is counted. The other half is for memory that does not grow with the number of
//! objects: the program, objects in flight, pages of lists, bodies and answers of requests.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Specs that are cached until they are decrypted, in bytes: some 12,000 of two items. Further specs are fetched when they
/// are needed; with 8 MiB, every second object of a first sync of 10,000 was.
const SPECS: usize = 20 << 20;
/// Percentage of the memory for objects below which refused objects are tried again.
const RETRY_PERCENTAGE: usize = 90;
/// Part of that memory that the marks of refused objects take in addition, and the bytes that they may take in any case.
const MARK_SHARE: usize = 8;
const MARKS_AT_LEAST: usize = 1 << 20;
/// Files with the container's memory limit: cgroup v2, and v1.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// A larger value means no limit: cgroup v1 has no other notation for that.
const NO_LIMIT: u64 = 1 << 60;

/// The memory of objects, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// All cached data.
    pub(crate) all: usize,
    /// The part of it that is dropped once the object was decrypted.
    pub(crate) spec: usize,
}

/// Memory used by all watches together.
#[derive(Debug)]
pub(crate) struct ObjectMemory {
    /// The limit in bytes; `None` for no limit.
    most: Option<usize>,
    all: AtomicUsize,
    specs: AtomicUsize,
    /// Marks of objects that there is no memory for.
    over_limit: AtomicUsize,
}

impl ObjectMemory {
    /// Creates the account with half of `limit` bytes or, without one, half of the container's limit.
    pub(crate) fn of(limit: Option<u64>) -> Self {
        let limit = limit.or_else(limit_of_container);
        let most = limit.map(|bytes| usize::try_from(bytes / 2).unwrap_or(usize::MAX));
        let [all, specs, over_limit] = Default::default();
        Self { most, all, specs, over_limit }
    }

    /// Returns true if this amount fits into the limit.
    pub(crate) fn has_room_for(&self, weight: Weight) -> bool {
        self.most.is_none_or(|most| self.all.load(Ordering::Relaxed).saturating_add(weight.all) <= most)
    }

    /// Returns true if one more spec fits into the limits.
    pub(crate) fn has_room_for_spec(&self, weight: Weight) -> bool {
        self.specs.load(Ordering::Relaxed).saturating_add(weight.spec) <= SPECS && self.has_room_for(weight)
    }

    /// Returns true if so much memory is free that refused objects should be tried again.
    pub(crate) fn admits_refused_again(&self) -> bool {
        self.most.is_none_or(|most| self.all.load(Ordering::Relaxed) < most / 100 * RETRY_PERCENTAGE)
    }

    pub(crate) fn take(&self, weight: Weight) {
        self.all.fetch_add(weight.all, Ordering::Relaxed);
        self.specs.fetch_add(weight.spec, Ordering::Relaxed);
    }

    /// Takes memory for the mark of an object that there is no memory for. Returns false if there are too many of them.
    pub(crate) fn take_mark(&self, bytes: usize) -> bool {
        let most = self.most.map_or(usize::MAX, |most| (most / MARK_SHARE).max(MARKS_AT_LEAST));
        let sum = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= most);
        self.over_limit.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }

    /// Releases the memory of a mark.
    pub(crate) fn release_mark(&self, bytes: usize) {
        self.over_limit.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Releases memory.
    pub(crate) fn release(&self, weight: Weight) {
        self.all.fetch_sub(weight.all, Ordering::Relaxed);
        self.specs.fetch_sub(weight.spec, Ordering::Relaxed);
    }
}

fn limit_of_container() -> Option<u64> {
    let limit = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    LIMITS.into_iter().find_map(limit).filter(|bytes| *bytes < NO_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: Weight = Weight { all: 1000, spec: 0 };

    #[test]
    fn objects_have_half_of_the_memory_and_get_it_again_when_there_is_some_to_spare() {
        let memory = ObjectMemory::of(Some(20_000));
        for _ in 0..10 {
            assert!(memory.has_room_for(OBJECT));
            memory.take(OBJECT);
        }
        assert!(!memory.has_room_for(OBJECT) && !memory.admits_refused_again());
        memory.release(OBJECT);
        assert!(memory.has_room_for(OBJECT) && !memory.admits_refused_again());
        memory.release(OBJECT);
        assert!(memory.admits_refused_again());
    }

    #[test]
    fn marks_of_refused_objects_are_limited() {
        for (limit, most) in [(16, MARKS_AT_LEAST), (64 << 20, 4 << 20)] {
            let memory = ObjectMemory::of(Some(limit));
            assert!(memory.take_mark(most - 1) && !memory.take_mark(2), "{limit}");
            memory.release_mark(most - 1);
            assert!(memory.take_mark(most) && memory.has_room_for(Weight { all: 8, spec: 0 }), "{limit}");
        }
        assert!(ObjectMemory { most: None, ..ObjectMemory::of(Some(16)) }.take_mark(usize::MAX));
    }

    #[test]
    fn specs_are_kept_up_to_a_limit_of_their_own() {
        let memory = ObjectMemory::of(Some(1 << 30));
        let spec = Weight { all: SPECS / 2, spec: SPECS / 2 };
        memory.take(spec);
        assert!(memory.has_room_for_spec(spec));
        memory.take(spec);
        assert!(!memory.has_room_for_spec(spec) && memory.has_room_for(spec));
    }
}
