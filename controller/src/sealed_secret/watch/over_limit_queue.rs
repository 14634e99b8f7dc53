//! Objects over the memory limit: the mark of each, and the queue of those whose status must still be written.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::sealed_secret::object::{ObjectKey, ObjectVersion};

/// Memory of a mark beside the names of its object, in bytes: entries in maps that have just grown, key usage, queue.
const MARK: usize = 2 << 10;
/// Copies of its name and namespace.
const NAMES: usize = 4;

/// Returns the bytes of heap that the mark of an object takes.
pub(crate) fn weight_of_mark(ObjectKey { namespace, name }: &ObjectKey) -> usize {
    MARK + NAMES * (namespace.len() + name.len())
}

/// Mark of an object that is over the limit: the version that was refused.
#[derive(Debug, Default)]
pub(crate) struct OverLimitMark(Option<ObjectVersion>);

impl OverLimitMark {
    /// Marks the object, and returns true if this version was not refused before.
    pub(crate) fn refuse(&mut self, version: ObjectVersion) -> bool {
        self.0.replace(version) != Some(version)
    }

    pub(crate) fn version(&self) -> Option<ObjectVersion> {
        self.0
    }

    /// Removes the mark, and returns true if there was one.
    pub(crate) fn clear(&mut self) -> bool {
        self.0.take().is_some()
    }
}

/// Queue of objects whose status must still say that they are over the limit. Its lock is its own, because it orders objects.
#[derive(Debug, Default)]
pub(crate) struct OverLimitQueue {
    unreported: Mutex<VecDeque<ObjectKey>>,
    changed: Notify,
}

impl OverLimitQueue {
    pub(crate) fn push(&self, key: ObjectKey) {
        self.unreported.lock().push_back(key);
        self.changed.notify_one();
    }

    pub(crate) fn clear(&self) {
        self.unreported.lock().clear();
    }

    /// Waits for the next object.
    pub(super) async fn next(&self) -> ObjectKey {
        loop {
            let changed = self.changed.notified();
            if let Some(key) = self.unreported.lock().pop_front() {
                return key;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_version_that_is_refused_is_reported_once() {
        let (mut mark, queue) = (OverLimitMark::default(), OverLimitQueue::default());
        let key = ObjectKey::new("shop", "db");
        let refuse = |mark: &mut OverLimitMark, version| {
            if mark.refuse(ObjectVersion::numbered(version)) {
                queue.push(key.clone());
            }
        };
        refuse(&mut mark, 1);
        refuse(&mut mark, 1);
        assert_eq!(queue.next().now_or_never(), Some(key.clone()));
        assert_eq!(queue.next().now_or_never(), None);
        refuse(&mut mark, 1);
        assert_eq!(queue.next().now_or_never(), None, "its status has changed");
        refuse(&mut mark, 2);
        assert_eq!(queue.next().now_or_never(), Some(key.clone()));
        assert!(mark.clear() && !mark.clear());
        assert_eq!(mark.version(), None);
    }
}
