//! `/healthz` and `/readyz`: liveness and readiness.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::api::requests::ApiRequests;
use crate::keystore::list::refresh::KeyRefresh;
use crate::keystore::publish::RingReceiver;

/// Age of the list of keys up to which a replica beside others counts as ready.
const RECENT: Duration = Duration::from_mins(5);

/// Inputs of the readiness probe, which decides whether this replica receives requests and whether a rolling update
/// continues.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    pub(crate) ring: RingReceiver,
    pub(crate) requirement: Requirement,
    pub(crate) stop: CancellationToken,
}

/// Requirement of readiness beside a sealing key. It never depends on who leads.
#[derive(Clone, Debug)]
pub(crate) enum Requirement {
    /// The permission to read SealedSecrets.
    SealedSecrets(Arc<ApiRequests>),
    /// A recent list of the keys: another replica may have generated one.
    RecentKeys(Arc<KeyRefresh>),
}

impl Requirement {
    fn obstacle(&self, now: Instant) -> Option<&'static str> {
        match self {
            Self::SealedSecrets(api_requests) => api_requests.are_sealed_secrets_refused(now).then_some(
                "SealedSecrets cannot be listed or watched: the CRD or the permission is missing\n",
            ),
            Self::RecentKeys(key_refresh) => (!key_refresh.has_listed_within(RECENT, now))
                .then_some("the keys could not be listed for 5 minutes\n"),
        }
    }
}

/// `GET /healthz`: 200 while the process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 while a sealing key exists and the requirement is met, else 503 with the reason.
pub(crate) async fn ready(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    match obstacle(&readiness) {
        None => (StatusCode::OK, "ok\n"),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

fn obstacle(Readiness { ring, requirement, stop }: &Readiness) -> Option<&'static str> {
    if stop.is_cancelled() {
        return Some("stopping\n");
    }
    if ring.borrow().as_ref().is_none_or(|ring| ring.primary().is_none()) {
        return Some("no sealing key yet\n");
    }
    requirement.obstacle(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_beside_others_needs_a_list_of_the_keys_of_the_last_five_minutes() {
        let (refresh, listed) = (Arc::<KeyRefresh>::default(), Instant::now());
        let requirement = Requirement::RecentKeys(Arc::clone(&refresh));
        assert!(requirement.obstacle(listed).is_some());
        refresh.published(listed);
        assert_eq!(requirement.obstacle(listed + RECENT), None);
        assert!(requirement.obstacle(listed + RECENT + Duration::from_secs(1)).is_some());
    }
}
