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
pub(super) struct Guests {
    places: Arc<Semaphore>,
    present: Mutex<Present>,
}

#[derive(Debug, Default)]
struct Present {
    next: u64,
    guests: HashMap<u64, State>,
}

#[derive(Debug)]
struct State {
    /// `None` while a request is being answered.
    idle_since: Option<Instant>,
    leave: CancellationToken,
}

/// One connection; its place is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    house: Arc<Guests>,
    number: u64,
    leave: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Guests {
    /// At most so many at the same time.
    pub(super) fn at_most(places: usize) -> Arc<Self> {
        Arc::new(Self { places: Arc::new(Semaphore::new(places)), present: Mutex::default() })
    }

    /// Returns as soon as there is a place. No request that is being answered is given up for it.
    pub(super) async fn admit(self: &Arc<Self>) -> Guest {
        loop {
            if self.places.available_permits() == 0 {
                self.send_idlest_away();
            }
            let place = Arc::clone(&self.places).acquire_owned();
            if let Ok(Ok(place)) = tokio::time::timeout(LOOK_AGAIN, place).await {
                return self.seat(place);
            }
        }
    }

    fn seat(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Guest {
        let (mut present, leave) = (self.lock(), CancellationToken::new());
        let number = present.next;
        present.next += 1;
        present.guests.insert(number, State { idle_since: Some(Instant::now()), leave: leave.clone() });
        Guest { house: Arc::clone(self), number, leave, _place: place }
    }

    fn send_idlest_away(&self) {
        let present = self.lock();
        let idle = present.guests.values().filter(|guest| !guest.leave.is_cancelled());
        let idle = idle.filter_map(|guest| Some((guest.idle_since?, guest)));
        if let Some((_, guest)) = idle.min_by_key(|(since, _)| *since) {
            guest.leave.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest {
    /// A request has come.
    pub(super) fn asks(&self) {
        self.is_idle_since(None);
    }

    /// It was answered.
    pub(super) fn is_answered(&self) {
        self.is_idle_since(Some(Instant::now()));
    }

    /// Returns when the place is needed.
    pub(super) async fn is_to_leave(&self) {
        self.leave.cancelled().await;
    }

    fn is_idle_since(&self, moment: Option<Instant>) {
        if let Some(state) = self.house.lock().guests.get_mut(&self.number) {
            state.idle_since = moment;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.house.lock().guests.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn whoever_is_idle_the_longest_makes_way_and_nobody_who_is_being_answered() {
        let house = Guests::at_most(3);
        let (busy, rested, idle) = (house.admit().await, house.admit().await, house.admit().await);
        busy.asks();
        rested.asks();
        rested.is_answered();
        house.send_idlest_away();
        assert!(idle.is_to_leave().now_or_never().is_some());
        assert!(rested.is_to_leave().now_or_never().is_none());
        house.send_idlest_away();
        assert!(rested.is_to_leave().now_or_never().is_some());
        house.send_idlest_away();
        assert!(busy.is_to_leave().now_or_never().is_none());
        assert!(house.admit().now_or_never().is_none(), "nobody has left yet");
        drop(idle);
        house.admit().await;
    }
}
