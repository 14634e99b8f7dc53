//! Pacing of the controllers that write our own kinds.

use std::time::Duration;

use tokio::sync::watch;

use super::client;
use crate::usage::Usage;

/// Wait after a failure, and after a write until the watch delivers it.
const RETRY: Duration = Duration::from_secs(5);
/// Wait if a permission is missing.
const FORBIDDEN: Duration = Duration::from_secs(30);
/// Interval at which changing counters are written.
const COUNTED_EVERY: Duration = Duration::from_secs(5);
/// Minimum wait after a write, so that two replicas that temporarily disagree do not overwrite each other in a tight
/// loop.
const AFTER_WRITE: Duration = Duration::from_secs(1);

/// Waits between the turns of a writer.
pub(crate) struct WriterPacing {
    /// The written objects, in the plural, for log lines.
    what: &'static str,
    forbidden_logged: bool,
}

impl WriterPacing {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, forbidden_logged: false }
    }

    /// Ends a turn, given its outcome. Returns when the next one is due: its inputs have changed, or a write must be
    /// checked.
    pub(crate) async fn until_next_turn<A, B>(
        &mut self,
        written: Result<bool, kube::Error>,
        one: &mut watch::Receiver<A>,
        other: &mut watch::Receiver<B>,
        usage: &mut watch::Receiver<Usage>,
    ) {
        let again = self.after(written).await;
        tokio::select! {
            _ = one.changed() => {}
            _ = other.changed() => {}
            () = after_usage_change(usage) => {}
            () = wait(again) => {}
        }
    }

    /// Waits after a write. Returns the time until the next turn at the latest.
    async fn after(&mut self, written: Result<bool, kube::Error>) -> Option<Duration> {
        match written {
            Ok(false) => return None,
            Ok(true) => {}
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                if !std::mem::replace(&mut self.forbidden_logged, true) {
                    tracing::warn!(
                        kind = self.what,
                        "the permission to write {} is missing: {}",
                        self.what,
                        status.message
                    );
                }
                return Some(FORBIDDEN);
            }
            // Changed or deleted in the meantime: the watch delivers that.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) => {
                tracing::warn!(kind = self.what, "writing {}: {}", self.what, client::describe(&error));
            }
        }
        tokio::time::sleep(AFTER_WRITE).await;
        Some(RETRY)
    }
}

/// Returns [`COUNTED_EVERY`] after the counters have changed.
async fn after_usage_change(usage: &mut watch::Receiver<Usage>) {
    if usage.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(COUNTED_EVERY).await;
}

async fn wait(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
