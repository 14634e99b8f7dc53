//! Connection limit: if all permits are taken, the connection that has been idle the longest is closed for the next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Interval of checks while no connection is idle.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The open connections, and the free permits.
#[derive(Debug)]
pub(crate) struct ConnectionLimiter {
    permits: Arc<Semaphore>,
    connections: Mutex<Open>,
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
    eviction: CancellationToken,
}

/// A connection; its permit is released on drop.
#[derive(Debug)]
pub(crate) struct Connection {
    limiter: Arc<ConnectionLimiter>,
    number: u64,
    eviction: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionLimiter {
    /// Creates a limiter of this number of open connections.
    pub(crate) fn at_most(permits: usize) -> Arc<Self> {
        Arc::new(Self { permits: Arc::new(Semaphore::new(permits)), connections: Mutex::default() })
    }

    /// Waits for a permit. A connection whose request is being answered is never closed for it.
    pub(crate) async fn admit(self: &Arc<Self>) -> Connection {
        loop {
            if self.permits.available_permits() == 0 {
                self.evict_idlest();
            }
            let permit = Arc::clone(&self.permits).acquire_owned();
            if let Ok(Ok(permit)) = tokio::time::timeout(CHECK_INTERVAL, permit).await {
                return self.register(permit);
            }
        }
    }

    fn register(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Connection {
        let (mut connections, eviction) = (self.connections.lock(), CancellationToken::new());
        let number = connections.next;
        connections.next += 1;
        connections
            .open
            .insert(number, State { idle_since: Some(Instant::now()), eviction: eviction.clone() });
        Connection { limiter: Arc::clone(self), number, eviction, _permit: permit }
    }

    fn evict_idlest(&self) {
        let connections = self.connections.lock();
        let idle = connections.open.values().filter(|connection| !connection.eviction.is_cancelled());
        let idle = idle.filter_map(|connection| Some((connection.idle_since?, connection)));
        if let Some((_, connection)) = idle.min_by_key(|(since, _)| *since) {
            connection.eviction.cancel();
        }
    }
}

impl Connection {
    /// Marks the connection as busy: a request has arrived.
    pub(crate) fn begin_request(&self) {
        self.set_idle_since(None);
    }

    /// Marks the connection as idle: the request was answered.
    pub(crate) fn end_request(&self) {
        self.set_idle_since(Some(Instant::now()));
    }

    /// Waits until the permit is needed.
    pub(crate) async fn evicted(&self) {
        self.eviction.cancelled().await;
    }

    fn set_idle_since(&self, instant: Option<Instant>) {
        if let Some(state) = self.limiter.connections.lock().open.get_mut(&self.number) {
            state.idle_since = instant;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.limiter.connections.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_longest_idle_connection_is_evicted() {
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
