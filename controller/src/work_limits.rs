//! How much the process works on at once, for all watched namespaces together, and how they share it.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use crate::fair_semaphore::{FairSemaphore, Limits};
use crate::surroundings::WALL;

/// Private-key operations for one permit. On a slow machine 25 take some 50 milliseconds, and the way to another thread and back
/// costs a thousandth of that.
pub(crate) const SLICE: usize = 25;

/// Templates that are rendered at the same time. A rendering cannot be interrupted and may hold 32 MiB.
const RENDERINGS: usize = 2;

/// Heap of large objects in work at the same time, and of those of one namespace.
const HEAP: usize = 24 << 20;
const HEAP_OF_ONE: usize = HEAP / 2;

/// Permits that namespaces share.
#[derive(Debug)]
pub(crate) struct WorkLimits {
    /// One permit per processor, charged in private-key operations.
    pub(crate) decryption: Arc<FairSemaphore>,
    /// Charged in microseconds. One namespace never has all permits.
    pub(crate) rendering: Arc<FairSemaphore>,
    /// Bytes of heap that large objects take while they are in work, all their copies included. Who waits for it holds no other
    /// permit but one for rendering, and who holds it never waits for rendering.
    pub(crate) memory: Arc<FairSemaphore>,
}

impl WorkLimits {
    /// The limits for this machine.
    pub(crate) fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let operations = u64::try_from(SLICE).unwrap_or(u64::MAX);
        let microseconds = u64::try_from(WALL.as_micros()).unwrap_or(u64::MAX);
        Self {
            decryption: FairSemaphore::new(Limits {
                units: processors,
                units_of_one: processors,
                cost: operations,
            }),
            rendering: FairSemaphore::new(Limits {
                units: RENDERINGS,
                units_of_one: RENDERINGS - 1,
                cost: microseconds,
            }),
            memory: FairSemaphore::new(Limits { units: HEAP, units_of_one: HEAP_OF_ONE, cost: 1 }),
        }
    }

    /// Lets nothing begin any more; what waits ends without a result.
    pub(crate) fn close(&self) {
        self.decryption.close();
        self.rendering.close();
        self.memory.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fair_semaphore::Turn;

    #[tokio::test]
    async fn two_objects_of_a_namespace_that_render_for_long_leave_a_permit_to_others() {
        let limits = WorkLimits::new();
        let _held = limits.rendering.acquire("hostile", 1, Turn::New).await.unwrap();
        let second = limits.rendering.acquire("hostile", 1, Turn::New);
        futures::pin_mut!(second);
        assert!(futures::poll!(&mut second).is_pending());
        assert!(limits.rendering.acquire("quiet", 1, Turn::New).await.is_some());
    }
}
