//! Reports the outcome of an attempt: log line and status.

use kube::runtime::controller::Action;
use sealed_secrets_crds::LastSuccess;

use super::object::ObjectKey;
use super::state::ObjectStates;
use super::status::{self, StatusWrite};
use crate::error::Failure;
use crate::sealed_secret::watch::raw::RawSealedSecret;

/// Reports a success. If the status update is denied, it is repeated when a status update in the namespace succeeds.
///
/// # Errors
/// When the status cannot be written for another reason.
pub(super) async fn report(
    object: &RawSealedSecret,
    states: &ObjectStates,
    success: LastSuccess,
) -> Result<Action, Failure> {
    match write_status(object, states, Ok(success.clone())).await.map_err(Failure::of_status)? {
        StatusWrite::Forbidden { .. } => {
            states.defer_report(object, success);
            Ok(retry_status_later(object, states))
        }
        StatusWrite::Written | StatusWrite::Unchanged | StatusWrite::Disabled(_) | StatusWrite::Gone => {
            states.record_success(object, success);
            Ok(Action::await_change())
        }
    }
}

/// Writes the status after an attempt, and records the outcome in the state.
///
/// # Errors
/// When the status cannot be written for another reason than a missing permission.
pub(super) async fn write_status(
    object: &RawSealedSecret,
    states: &ObjectStates,
    outcome: Result<LastSuccess, &Failure>,
) -> Result<StatusWrite, Failure> {
    let known = states.known_status(object);
    let report = status::report(&states.context, object, &known, outcome).await;
    states.record_status(object, report)
}

/// Decides on the retry of a denied status update: the probe of each namespace retries, and the other objects wait for it.
pub(super) fn retry_status_later(object: &RawSealedSecret, states: &ObjectStates) -> Action {
    if !states.denied.is_probe(&ObjectKey::of(object)) {
        return Action::await_change();
    }
    let (wait, _) = states.back_off(object);
    Action::requeue(wait)
}

/// Logs the outcome of an attempt.
pub(super) fn log(object: &RawSealedSecret, failure: Option<&Failure>, states: &ObjectStates) {
    let ObjectKey { namespace, name } = ObjectKey::of(object);
    match failure {
        None => {
            states.missing_permissions.forget(&namespace);
            tracing::info!(namespace, name, "SealedSecret unsealed");
        }
        // The whole namespace fails alike, and its permissions may be the first thing to go when it is deleted.
        Some(failure) if failure.lacks_permission() => {
            if states.missing_permissions.add(&namespace) {
                tracing::warn!(namespace, "permission missing in namespace {namespace}: {failure}");
            }
            tracing::debug!(namespace, name, "{}", failure.log_message());
        }
        // The whole namespace fails alike, and no action is needed.
        Some(Failure::NamespaceTerminating) => {
            tracing::debug!(namespace, name, "the namespace is being deleted");
        }
        Some(failure) => tracing::error!(namespace, name, "{}", failure.log_message()),
    }
}
