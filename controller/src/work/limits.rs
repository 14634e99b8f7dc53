//! Limits on concurrent work, for all watched namespaces together.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use sealed_secrets_core::template::Budget;

use super::fair_semaphore::{FairSemaphore, Limits};

/// Private-key operations per permit. On a slow machine 25 take some 50 milliseconds; switching the thread costs a
/// thousandth of that.
pub(crate) const SLICE: usize = 25;

/// Templates that are rendered at the same time. A rendering cannot be interrupted and may use 32 MiB.
const RENDERINGS: usize = 2;

/// Heap of large objects in flight at the same time, in total and per namespace, in bytes. An object that needs more is processed
/// when its namespace has no other in flight.
const HEAP: usize = 20 << 20;
const HEAP_PER_NAMESPACE: usize = HEAP / 2;

/// Heap of an object above which it is not processed: two of them, in two namespaces, fit beside the SealedSecrets that are kept. Only
/// objects of more than 50,000 fields exceed it.
pub(crate) const MAX_HEAP_OF_OBJECT: usize = 2 * HEAP;

/// Existing Secrets of any size that are read at the same time, in total and per namespace. Each takes up to 8 MiB
/// until it is compared and written.
const EXISTING: usize = 3;
const EXISTING_PER_NAMESPACE: usize = 2;

/// Semaphores that namespaces share.
#[derive(Debug)]
pub(crate) struct WorkLimits {
    /// One permit per processor, charged in private-key operations.
    pub(crate) decryption: Arc<FairSemaphore>,
    /// Charged in microseconds. One namespace never has all permits.
    pub(crate) rendering: Arc<FairSemaphore>,
    /// Bytes of heap of large objects in flight, including all their copies. To prevent deadlocks, a task that waits for
    /// it holds no other permit except one for rendering, and a task that holds it never waits for rendering.
    pub(crate) memory: Arc<FairSemaphore>,
    /// One permit per existing Secret whose size is not yet known, or that is large. A task that holds one waits for no
    /// other permit.
    pub(crate) existing: Arc<FairSemaphore>,
}

impl WorkLimits {
    /// Creates the limits for this machine.
    pub(crate) fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let operations = u64::try_from(SLICE).unwrap_or(u64::MAX);
        let microseconds = u64::try_from(Budget::default().processor.as_micros()).unwrap_or(u64::MAX);
        Self {
            decryption: FairSemaphore::new(Limits {
                units: processors,
                units_per_namespace: processors,
                cost: operations,
            }),
            rendering: FairSemaphore::new(Limits {
                units: RENDERINGS,
                units_per_namespace: RENDERINGS - 1,
                cost: microseconds,
            }),
            memory: FairSemaphore::new(Limits {
                units: HEAP,
                units_per_namespace: HEAP_PER_NAMESPACE,
                cost: 1,
            }),
            existing: FairSemaphore::new(Limits {
                units: EXISTING,
                units_per_namespace: EXISTING_PER_NAMESPACE,
                cost: 1,
            }),
        }
    }

    /// Starts no further work; waiting tasks end without a result.
    pub(crate) fn close(&self) {
        self.decryption.close();
        self.rendering.close();
        self.memory.close();
        self.existing.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::fair_semaphore::WorkClass;

    #[tokio::test]
    async fn two_objects_of_a_namespace_that_render_for_long_leave_a_permit_to_others() {
        let limits = WorkLimits::new();
        let _held = limits.rendering.acquire("hostile", 1, WorkClass::New).await.unwrap();
        let second = limits.rendering.acquire("hostile", 1, WorkClass::New);
        futures::pin_mut!(second);
        assert!(futures::poll!(&mut second).is_pending());
        assert!(limits.rendering.acquire("quiet", 1, WorkClass::New).await.is_some());
    }
}
