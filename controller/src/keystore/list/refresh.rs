//! Requests for a further list of the key Secrets: one list answers all of them, and requested lists have a minimum
//! interval.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// Minimum time between the beginnings of two requested lists.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The time of the last list, and the notification that requests another one.
#[derive(Debug, Default)]
pub(crate) struct KeyRefresh {
    desired: Notify,
    /// Beginning of the list from which the published ring was made.
    last: watch::Sender<Option<Instant>>,
    /// Beginning of the list from which the published view was made.
    published_view: Mutex<Option<Instant>>,
}

impl KeyRefresh {
    /// Returns true if the published ring was made from a list that began after `instant`. If not, requests a list.
    pub(crate) fn refresh_unless_newer_than(&self, instant: Instant) -> bool {
        let newer = self.last().is_some_and(|last| last > instant);
        if !newer {
            self.request();
        }
        newer
    }

    /// Returns true if the published ring was made from a list that began no longer ago than this.
    pub(crate) fn has_listed_within(&self, age: Duration, now: Instant) -> bool {
        self.last().is_some_and(|last| now.saturating_duration_since(last) <= age)
    }

    /// Requests a list.
    pub(crate) fn request(&self) {
        self.desired.notify_one();
    }

    /// Returns true if the published view was made from a list that began after `instant`.
    pub(crate) fn is_view_newer_than(&self, instant: Instant) -> bool {
        let published_view = *self.published_view.lock();
        published_view.is_some_and(|listed| listed > instant)
    }

    /// Records that the view of a list that began at `instant` was published.
    pub(crate) fn view_published(&self, instant: Instant) {
        *self.published_view.lock() = Some(instant);
    }

    /// Records that the ring of a list that began at `instant` was published.
    pub(crate) fn published(&self, instant: Instant) {
        self.last.send_replace(Some(instant));
    }

    /// Requests a list, and waits until the published ring was made from one that began after `instant`.
    pub(crate) async fn published_after(&self, instant: Instant) {
        if !self.refresh_unless_newer_than(instant) {
            // Fails only without a sender, which `self` owns.
            let _ = self.last.subscribe().wait_for(|last| last.is_some_and(|last| last > instant)).await;
        }
    }

    /// Waits for a request, and for the minimum interval since the last list.
    pub(crate) async fn requested(&self) {
        self.desired.notified().await;
        let distance = self.last().map(|last| last.elapsed());
        tokio::time::sleep(rest(distance)).await;
    }

    fn last(&self) -> Option<Instant> {
        *self.last.borrow()
    }
}

/// Returns the wait before the next list if the last one began this long ago.
fn rest(since_last: Option<Duration>) -> Duration {
    since_last.map_or(Duration::ZERO, |elapsed| MIN_INTERVAL.saturating_sub(elapsed))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn only_a_list_that_began_later_is_accepted_and_one_list_serves_all_requests() {
        let (list, failed) = (KeyRefresh::default(), Instant::now());
        assert!(!list.refresh_unless_newer_than(failed));
        assert!(!list.refresh_unless_newer_than(failed));
        list.requested().await;
        list.published(failed + Duration::from_millis(1));
        assert!(list.refresh_unless_newer_than(failed));
        assert!(list.requested().now_or_never().is_none(), "nobody has requested one since");
    }

    #[test]
    fn requested_lists_keep_a_minimum_interval() {
        assert_eq!(rest(None), Duration::ZERO);
        assert_eq!(rest(Some(Duration::from_millis(300))), Duration::from_millis(700));
        assert_eq!(rest(Some(Duration::from_secs(2))), Duration::ZERO);
    }
}
