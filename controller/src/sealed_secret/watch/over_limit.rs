//! SealedSecrets over the memory limit: only their names are kept, and their status gives the reason.

use std::time::Duration;

use kube::Api;

use super::raw::RawSealedSecret;
use crate::error::Failure;
use crate::sealed_secret::object::{ObjectKey, ObjectVersion};
use crate::sealed_secret::report::{log, write_status};
use crate::sealed_secret::state::ObjectStates;
use crate::sealed_secret::status::StatusWrite;

/// Interval of the checks for free memory.
const CHECKED_EVERY: Duration = Duration::from_secs(10);
/// Wait after an error.
const PAUSE: Duration = Duration::from_secs(1);

/// Returns when an object is over the limit and there is free memory again.
pub(crate) async fn until_there_is_room(states: &ObjectStates) {
    loop {
        tokio::time::sleep(CHECKED_EVERY).await;
        if states.is_any_over_limit() && states.context.object_memory.admits_refused_again() {
            return;
        }
    }
}

/// Writes the status of all objects over the limit, one after the other. Never returns.
pub(crate) async fn report_all(states: &ObjectStates) {
    loop {
        let key = states.over_limit_queue.next().await;
        let Some(version) = states.over_limit_version(&key) else { continue };
        if report(states, &key, version).await.is_err() {
            states.over_limit_queue.push(key);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn report(states: &ObjectStates, key: &ObjectKey, version: ObjectVersion) -> Result<(), Failure> {
    let api: Api<RawSealedSecret> = Api::namespaced(states.context.client.clone(), &key.namespace);
    let object = match api.get_opt(&key.name).await {
        Ok(Some(object)) => object,
        Ok(None) => return Ok(()),
        Err(error) => return Err(Failure::api(&error)),
    };
    if object.metadata.deletion_timestamp.is_some() || ObjectVersion::of(&object.metadata) != version {
        return Ok(());
    }
    let refusal = Failure::OverMemoryLimit;
    log(&object, Some(&refusal), states);
    let reported = write_status(&object, states, Err(&refusal)).await;
    states.discard_overlay(key);
    if states.over_limit_version(key).is_none() {
        // The object was admitted meanwhile, and this write may have replaced the status of that attempt.
        states.record_failure(&object);
        // The first list of Secrets queues all objects; one that waited for it would keep its slot from other namespaces.
        if states.secrets_listed.initialized() {
            states.context.queue.add_bulk([key.clone()]);
        }
    }
    if matches!(reported?, StatusWrite::Forbidden { .. }) {
        // Another object of the namespace is to be tried instead: this one waits for memory.
        states.clear_denied(key);
    }
    Ok(())
}
