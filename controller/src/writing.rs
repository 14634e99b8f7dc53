//! What writers of our own kinds do between two turns.

use std::time::Duration;

use tokio::sync::watch;

use crate::client;
use crate::usage::Usage;

/// After a failure, and after a write until its change was seen.
const RETRY: Duration = Duration::from_secs(5);
/// Where a right is missing.
const FORBIDDEN: Duration = Duration::from_secs(30);
/// Numbers that change all the time are written this often.
const COUNTED_EVERY: Duration = Duration::from_secs(5);
/// Two replicas that disagree for a moment must not answer each other without a pause.
const AFTER_WRITE: Duration = Duration::from_secs(1);

/// Waits between the turns of a writer.
pub(crate) struct Pauses {
    /// What is written, in the plural.
    what: &'static str,
    forbidden_told: bool,
}

impl Pauses {
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, forbidden_told: false }
    }

    /// Ends a turn, which has written something or not. Returns when the next one is due: what it is made from has changed, or
    /// what was written is to be looked at once more.
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
            () = counted(usage) => {}
            () = wait(again) => {}
        }
    }

    /// Returns when the next turn comes at the latest.
    async fn after(&mut self, written: Result<bool, kube::Error>) -> Option<Duration> {
        match written {
            Ok(false) => return None,
            Ok(true) => {}
            Err(kube::Error::Api(status)) if status.code == 403 => {
                if !std::mem::replace(&mut self.forbidden_told, true) {
                    tracing::warn!("no right to write {}: {}", self.what, status.message);
                }
                return Some(FORBIDDEN);
            }
            // Changed or gone since: the watch shows it.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => tracing::warn!("writing {}: {}", self.what, client::in_words(&error)),
        }
        tokio::time::sleep(AFTER_WRITE).await;
        Some(RETRY)
    }
}

/// Returns a while after the numbers have changed.
async fn counted(usage: &mut watch::Receiver<Usage>) {
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
