//! Asking the keystore to list the key Secrets once more: one list answers all who ask, and lists keep a distance.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

/// From the beginning of one list to that of the next that was asked for.
const DISTANCE: Duration = Duration::from_secs(1);

/// When the key Secrets were listed last, and the wish for another list.
#[derive(Debug, Default)]
pub(crate) struct KeyList {
    wish: Notify,
    /// When the list began that the published ring is made of.
    last: watch::Sender<Option<Instant>>,
    /// When the list began that everybody can see what it says of the keys.
    shown: Mutex<Option<Instant>>,
}

impl KeyList {
    /// Whether the published ring is made of a list that began after `moment`. If not, one is asked for.
    pub(crate) fn is_newer_than(&self, moment: Instant) -> bool {
        let newer = self.last().is_some_and(|last| last > moment);
        if !newer {
            self.ask();
        }
        newer
    }

    /// Asks for a list.
    pub(crate) fn ask(&self) {
        self.wish.notify_one();
    }

    /// Whether what is said of the keys is of a list that began after `moment`.
    pub(crate) fn is_shown_since(&self, moment: Instant) -> bool {
        let shown = *self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.is_some_and(|shown| shown > moment)
    }

    /// Notes that what is said of the keys is of a list that began at `moment`.
    pub(crate) fn shown(&self, moment: Instant) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(moment);
    }

    /// Notes that the ring of a list that began at `moment` is published.
    pub(crate) fn published(&self, moment: Instant) {
        self.last.send_replace(Some(moment));
    }

    /// Asks for a list, and returns when the published ring is made of one that began after `moment`.
    pub(crate) async fn published_after(&self, moment: Instant) {
        if !self.is_newer_than(moment) {
            // Fails only without a sender, and this is it.
            let _ = self.last.subscribe().wait_for(|last| last.is_some_and(|last| last > moment)).await;
        }
    }

    /// Returns when somebody has asked and the last list is long enough ago.
    pub(crate) async fn asked(&self) {
        self.wish.notified().await;
        let distance = self.last().map(|last| last.elapsed());
        tokio::time::sleep(rest(distance)).await;
    }

    fn last(&self) -> Option<Instant> {
        *self.last.borrow()
    }
}

/// How long the next list must wait when the last one began this long ago.
fn rest(since_last: Option<Duration>) -> Duration {
    since_last.map_or(Duration::ZERO, |elapsed| DISTANCE.saturating_sub(elapsed))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn only_a_list_that_began_later_will_do_and_one_serves_all_who_asked() {
        let (list, failed) = (KeyList::default(), Instant::now());
        assert!(!list.is_newer_than(failed));
        assert!(!list.is_newer_than(failed));
        list.asked().await;
        list.published(failed + Duration::from_millis(1));
        assert!(list.is_newer_than(failed));
        assert!(list.asked().now_or_never().is_none(), "nobody has asked since");
    }

    #[test]
    fn lists_that_are_asked_for_keep_a_distance() {
        assert_eq!(rest(None), Duration::ZERO);
        assert_eq!(rest(Some(Duration::from_millis(300))), Duration::from_millis(700));
        assert_eq!(rest(Some(Duration::from_secs(2))), Duration::ZERO);
    }
}
