//! Who is connected: when every place is taken, whoever has been idle the longest makes way for the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// While nobody is idle, how soon to look again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The connections that are open, and the places that are left.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter {
    places: Arc<Semaphore>,
    present: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    open: HashMap<u64, State>,
}

#[derive(Debug)]
struct State {
    /// `None` while a request is being answered.
    idle_since: Option<Instant>,
    leave: CancellationToken,
}

/// One connection; its place is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    limiter: Arc<ConnectionLimiter>,
    number: u64,
    leave: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl ConnectionLimiter {
    /// At most so many at the same time.
    pub(crate) fn at_most(places: usize) -> Arc<Self> {
        Arc::new(Self { places: Arc::new(Semaphore::new(places)), present: Mutex::default() })
    }

    /// Returns as soon as there is a place. No request that is being answered is given up for it.
    pub(crate) async fn admit(self: &Arc<Self>) -> Connection {
        loop {
            if self.places.available_permits() == 0 {
                self.evict_idlest();
            }
            let place = Arc::clone(&self.places).acquire_owned();
            if let Ok(Ok(place)) = tokio::time::timeout(LOOK_AGAIN, place).await {
                return self.register(place);
            }
        }
    }

    fn register(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Connection {
        let (mut present, leave) = (self.lock(), CancellationToken::new());
        let number = present.next;
        present.next += 1;
        present.open.insert(number, State { idle_since: Some(Instant::now()), leave: leave.clone() });
        Connection { limiter: Arc::clone(self), number, leave, _place: place }
    }

    fn evict_idlest(&self) {
        let present = self.lock();
        let idle = present.open.values().filter(|connection| !connection.leave.is_cancelled());
        let idle = idle.filter_map(|connection| Some((connection.idle_since?, connection)));
        if let Some((_, connection)) = idle.min_by_key(|(since, _)| *since) {
            connection.leave.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// A request has come.
    pub(crate) fn begin_request(&self) {
        self.set_idle_since(None);
    }

    /// It was answered.
    pub(crate) fn end_request(&self) {
        self.set_idle_since(Some(Instant::now()));
    }

    /// Returns when the place is needed.
    pub(crate) async fn evicted(&self) {
        self.leave.cancelled().await;
    }

    fn set_idle_since(&self, moment: Option<Instant>) {
        if let Some(state) = self.limiter.lock().open.get_mut(&self.number) {
            state.idle_since = moment;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.limiter.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn whoever_is_idle_the_longest_makes_way_and_nobody_who_is_being_answered() {
        let limiter = ConnectionLimiter::at_most(3);
        let (busy, rested, idle) = (limiter.admit().await, limiter.admit().await, limiter.admit().await);
        busy.begin_request();
        rested.begin_request();
        rested.end_request();
        limiter.evict_idlest();
        assert!(idle.evicted().now_or_never().is_some());
        assert!(rested.evicted().now_or_never().is_none());
        limiter.evict_idlest();
        assert!(rested.evicted().now_or_never().is_some());
        limiter.evict_idlest();
        assert!(busy.evicted().now_or_never().is_none());
        assert!(limiter.admit().now_or_never().is_none(), "nobody has left yet");
        drop(idle);
        limiter.admit().await;
    }
}
