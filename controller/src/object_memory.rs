//! The memory that SealedSecrets may take, for all watched namespaces together: half of what the container has.
//!
//! What tenants decide on is counted. The other half is for what does not grow with the number of objects: the program, objects in
//! work, pages of lists, bodies and answers of requests.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Specs that are kept until they are opened, in bytes. Of objects beyond that they are fetched.
const SPECS: usize = 8 << 20;
/// Of the memory for objects, in percent: what was refused is looked at again when less than this is taken.
const ROOMY: usize = 90;
/// The limit of a container's memory, where systems show it to the container: cgroup v2, and v1.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// A larger limit is none: cgroup v1 has no word for that.
const NO_LIMIT: u64 = 1 << 60;

/// What objects take, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Everything that is kept.
    pub(crate) all: usize,
    /// Of that, what is dropped as soon as an object was opened.
    pub(crate) spec: usize,
}

/// How much of its share all watches together have taken.
#[derive(Debug)]
pub(crate) struct ObjectMemory {
    /// `None` is without a limit.
    most: Option<usize>,
    all: AtomicUsize,
    specs: AtomicUsize,
}

impl ObjectMemory {
    /// Half of `limit` bytes; without one, of the limit that the container has.
    pub(crate) fn of(limit: Option<u64>) -> Self {
        let limit = limit.or_else(limit_of_container);
        let most = limit.map(|bytes| usize::try_from(bytes / 2).unwrap_or(usize::MAX));
        Self { most, all: AtomicUsize::default(), specs: AtomicUsize::default() }
    }

    /// Whether there is room for so much more.
    pub(crate) fn has_room_for(&self, weight: Weight) -> bool {
        self.most.is_none_or(|most| self.all.load(Ordering::Relaxed).saturating_add(weight.all) <= most)
    }

    /// Whether there is room for one more spec.
    pub(crate) fn has_room_for_spec(&self, weight: Weight) -> bool {
        self.specs.load(Ordering::Relaxed).saturating_add(weight.spec) <= SPECS && self.has_room_for(weight)
    }

    /// Whether so much is free again that what was refused is to be looked at.
    pub(crate) fn is_roomy(&self) -> bool {
        self.most.is_none_or(|most| self.all.load(Ordering::Relaxed) < most / 100 * ROOMY)
    }

    pub(crate) fn take(&self, weight: Weight) {
        self.all.fetch_add(weight.all, Ordering::Relaxed);
        self.specs.fetch_add(weight.spec, Ordering::Relaxed);
    }

    /// Gives back what was taken.
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
        assert!(!memory.has_room_for(OBJECT) && !memory.is_roomy());
        memory.release(OBJECT);
        assert!(memory.has_room_for(OBJECT) && !memory.is_roomy());
        memory.release(OBJECT);
        assert!(memory.is_roomy());
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
