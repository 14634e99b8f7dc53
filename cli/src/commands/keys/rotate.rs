//! `keys rotate` requests a new key with an annotation on the policy in force, and waits for it.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use sealed_secrets_crds::names::{DEFAULT_POLICY_NAME, ROTATE_REQUESTED_AT_ANNOTATION};
use sealed_secrets_crds::{KeySource, SealingKey, SealingKeyPhase, SealingKeyPolicy};
use serde_json::{Value, json};

use super::list;
use crate::api::ApiServer;
use crate::error::{Error, KeysError, Refusal};
use crate::options::ClusterOptions;
use crate::report::{ReportFormat, table};
use crate::session::Session;
use crate::{io, kubeconfig, report};

/// The interval between two reads of the status.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum number of conflicting writes before the request fails.
const MAX_CONFLICTS: u32 = 10;

/// Request a new key, which then seals; the other keys still decrypt
#[derive(Debug, Args)]
#[command(
    long_about = "Request a new sealing key from the controller. The new key seals from then on; the other keys still decrypt. The\n\
                  request is an annotation on the SealingKeyPolicy `default` with the time of the API server's clock: the newest key\n\
                  must not be older than that. While a request is pending, a further one waits for the same key.",
    after_help = "Example:\n  kubeseal keys rotate --wait"
)]
pub(crate) struct Rotate {
    /// Wait until the key exists, and print its name and fingerprint
    #[arg(long)]
    wait: bool,
    /// Time limit of the wait, such as 30s or 2m; 0 for none
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = Limit::parse)]
    timeout: Limit,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: ReportFormat,
    #[command(flatten)]
    cluster: ClusterOptions,
}

/// The longest wait; `None` for no limit.
#[derive(Clone, Copy, Debug)]
struct Limit(Option<Duration>);

impl Limit {
    fn parse(text: &str) -> Result<Self, Error> {
        kubeconfig::timeout(text).map(Self)
    }
}

impl Rotate {
    /// Requests a new key, and waits for it if `--wait` is given.
    ///
    /// # Errors
    /// When the request cannot be written, or the key is not created in time.
    pub(super) fn run(&self) -> Result<(), Error> {
        let session = Session::new(&self.cluster);
        let api = session.api()?;
        let request = request(api)?;
        if !self.wait {
            let text = format!("new sealing key requested at {request}\n");
            return report::write(self.output, &json!({"requestedAt": request.to_string()}), &text);
        }
        if std::io::stderr().is_terminal() {
            io::log(&format!("waiting for a key created at {request} or later"));
        }
        let made = wait(api, request, self.timeout)?;
        report::write(self.output, &made.value(request), &made.text())
    }
}

/// Writes the request, unless an earlier one is pending; returns its time.
fn request(api: &ApiServer) -> Result<Timestamp, KeysError> {
    let mut conflicts = 0;
    loop {
        let (policy, now) = policy_and_date(api)?;
        if policy.spec.key_source == Some(KeySource::External) {
            return Err(KeysError::External);
        }
        if let Some(waiting) = waiting_request(&policy, now) {
            io::log(&format!("the request of {waiting} is still pending"));
            return Ok(waiting);
        }
        // The resource version makes sure that a request never replaces a later one.
        let change = json!({"metadata": {
            "resourceVersion": policy.metadata.resource_version,
            "annotations": {ROTATE_REQUESTED_AT_ANNOTATION: now.to_string()},
        }});
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(change));
        let patched = api.runtime.block_on(api.policies().patch(DEFAULT_POLICY_NAME, &parameters, &patch));
        match patched.map_err(Refusal::from) {
            Ok(_) => return Ok(now),
            Err(Refusal::Conflict(_)) if conflicts < MAX_CONFLICTS => conflicts += 1,
            Err(refusal) => return Err(refused(api, "request a rotation", refusal)),
        }
    }
}

/// The request of the annotation, if the controller has not handled it and it is not in the future.
fn waiting_request(policy: &SealingKeyPolicy, now: Timestamp) -> Option<Timestamp> {
    let text = policy.annotations().get(ROTATE_REQUESTED_AT_ANNOTATION)?;
    let handled = policy.status.as_ref().and_then(|status| status.last_handled_rotate_request.as_ref());
    text.parse().ok().filter(|time| *time <= now && handled != Some(text))
}

/// Reads the policy in force and the API server's clock, in whole seconds.
fn policy_and_date(api: &ApiServer) -> Result<(SealingKeyPolicy, Timestamp), KeysError> {
    let path = format!(
        "/apis/sealedsecrets.rs/v1alpha1/namespaces/{}/sealingkeypolicies/{DEFAULT_POLICY_NAME}",
        api.namespace
    );
    let (date, body) = api.get(&path).map_err(|refusal| match refusal {
        Refusal::NotFound(_) => KeysError::NoPolicy(api.namespace.clone()),
        refusal => refused(api, "read the SealingKeyPolicy", refusal),
    })?;
    let policy = serde_json::from_slice(&body).map_err(|_| {
        refused(api, "read the SealingKeyPolicy", Refusal::Other("the answer is not one".to_owned()))
    })?;
    let date = date.as_deref().and_then(|text| rfc2822::parse(text).ok()).ok_or(KeysError::NoDate)?;
    Ok((policy, date.timestamp()))
}

fn refused(api: &ApiServer, action: &'static str, refusal: Refusal) -> KeysError {
    KeysError::of(action, "SealingKeyPolicy", &api.namespace, refusal)
}

/// Polls until the request is handled and its key exists.
fn wait(api: &ApiServer, request: Timestamp, limit: Limit) -> Result<NewKey, KeysError> {
    let begin = Instant::now();
    loop {
        let seen = look(api, request);
        if let Ok((_, Some(made))) = seen {
            return Ok(made);
        }
        if limit.0.is_some_and(|limit| begin.elapsed() >= limit) {
            let state = match seen {
                Ok((policy, _)) => state(&policy),
                Err(error) => error.to_string(),
            };
            return Err(KeysError::Late {
                requested: request.to_string(),
                seconds: begin.elapsed().as_secs(),
                state,
            });
        }
        // A timer must be created inside the runtime.
        api.runtime.block_on(async { tokio::time::sleep(PAUSE).await });
    }
}

fn look(api: &ApiServer, request: Timestamp) -> Result<(SealingKeyPolicy, Option<NewKey>), KeysError> {
    let policy = api.runtime.block_on(api.policies().get(DEFAULT_POLICY_NAME));
    let policy = policy.map_err(|error| refused(api, "read the SealingKeyPolicy", Refusal::from(error)))?;
    let keys = if is_handled(&policy, request) { list::sealing_keys(api)? } else { Vec::new() };
    let made = new_key(&policy, &keys, request);
    Ok((policy, made))
}

/// Returns `true` if this request was handled, or a later one that replaced it.
fn is_handled(policy: &SealingKeyPolicy, request: Timestamp) -> bool {
    let handled = policy.status.as_ref().and_then(|status| status.last_handled_rotate_request.as_ref());
    handled.and_then(|text| text.parse::<Timestamp>().ok()).is_some_and(|handled| handled >= request)
}

/// The key that answers the request: the newest one, if it is not older.
fn new_key(policy: &SealingKeyPolicy, keys: &[SealingKey], request: Timestamp) -> Option<NewKey> {
    let answers = |key: &&SealingKey| {
        let status = key.status.clone().unwrap_or_default();
        let decrypts = matches!(
            status.phase,
            Some(SealingKeyPhase::Primary | SealingKeyPhase::Pending | SealingKeyPhase::DecryptOnly)
        );
        decrypts && status.not_before.is_some_and(|time| time.0 >= request)
    };
    let key = keys.iter().filter(answers).max_by_key(|key| list::made(key))?;
    let status = key.status.clone()?;
    let pending = policy.status.as_ref().and_then(|status| status.pending.as_ref());
    Some(NewKey {
        name: key.name_any(),
        fingerprint: status.fingerprint?,
        phase: status.phase?,
        activates: pending
            .filter(|pending| pending.name == key.name_any())
            .map(|pending| pending.earliest_activation.clone()),
    })
}

/// Describes a rotation that is not done, by the policy's status.
fn state(policy: &SealingKeyPolicy) -> String {
    let Some(status) = &policy.status else {
        return "the SealingKeyPolicy has no status; is a controller that supports it running in its namespace?"
            .to_owned();
    };
    let problems = status.conditions.iter().filter(|condition| {
        let good = if condition.type_ == "Ready" { "True" } else { "False" };
        condition.status != good && !condition.message.is_empty()
    });
    let problems: Vec<_> =
        problems.map(|condition| format!("{}: {}", condition.reason, condition.message)).collect();
    match (problems.is_empty(), status.phase) {
        (false, _) => problems.join("; "),
        (true, Some(phase)) => format!("phase {phase:?}"),
        (true, None) => "the SealingKeyPolicy's status does not mention it".to_owned(),
    }
}

/// The key that answers the request.
#[derive(Debug, PartialEq, Eq)]
struct NewKey {
    name: String,
    fingerprint: String,
    phase: SealingKeyPhase,
    activates: Option<String>,
}

impl NewKey {
    fn text(&self) -> String {
        let does = match (self.phase, &self.activates) {
            (SealingKeyPhase::Primary, _) => "seals from now on".to_owned(),
            (SealingKeyPhase::Pending, Some(time)) => format!("decrypts, and seals from {time} on"),
            (SealingKeyPhase::Pending, None) => "decrypts, and seals after its activation delay".to_owned(),
            _ => "decrypts; another key seals, because the SealingKeyPolicy pins it".to_owned(),
        };
        table(&[vec![self.name.clone(), self.fingerprint.clone(), does]])
    }

    fn value(&self, request: Timestamp) -> Value {
        json!({
            "requestedAt": request.to_string(), "name": self.name, "fingerprint": self.fingerprint,
            "phase": self.phase, "earliestActivation": self.activates,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "2026-11-20T09:00:00Z";

    fn timestamp(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn policy(requested: &str, status: &Value) -> SealingKeyPolicy {
        serde_json::from_value(json!({
            "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKeyPolicy",
            "metadata": {"name": "default", "annotations": {ROTATE_REQUESTED_AT_ANNOTATION: requested}},
            "spec": {}, "status": status
        }))
        .unwrap()
    }

    fn key(name: &str, phase: &str, not_before: &str) -> SealingKey {
        serde_json::from_value(json!({
            "apiVersion": "sealedsecrets.rs/v1alpha1", "kind": "SealingKey", "metadata": {"name": name}, "spec": {},
            "status": {"phase": phase, "fingerprint": format!("SHA256:{name}"), "notBefore": not_before}
        }))
        .unwrap()
    }

    #[test]
    fn a_request_that_waits_is_not_replaced() {
        let now = timestamp("2026-11-20T09:05:00Z");
        assert_eq!(waiting_request(&policy(T, &json!({})), now), Some(timestamp(T)));
        assert_eq!(waiting_request(&policy(T, &json!({"lastHandledRotateRequest": T})), now), None);
        assert_eq!(waiting_request(&policy("2027-01-01T00:00:00Z", &json!({})), now), None, "scheduled");
        assert_eq!(waiting_request(&policy("soon", &json!({})), now), None);
    }

    #[test]
    fn a_request_is_handled_when_the_status_names_it_or_a_later_one() {
        let handled =
            |text: &str| is_handled(&policy(T, &json!({"lastHandledRotateRequest": text})), timestamp(T));
        assert!(handled(T) && handled("2026-11-20T09:00:01Z"));
        assert!(!handled("2026-11-20T08:59:59Z") && !handled("soon"));
    }

    #[test]
    fn only_a_key_that_is_not_older_fulfils_the_request_and_its_phase_is_reported() {
        let old = key("old", "Primary", "2026-11-20T08:59:59Z");
        let described = |status: Value, phase: &str| {
            let keys = [old.clone(), key("new", phase, T)];
            new_key(&policy(T, &status), &keys, timestamp(T)).map(|key| key.text())
        };
        assert_eq!(new_key(&policy(T, &json!({})), std::slice::from_ref(&old), timestamp(T)), None);
        assert_eq!(described(json!({}), "Primary").unwrap(), "new  SHA256:new  seals from now on\n");
        let pending =
            json!({"pending": {"name": "new", "createdAt": T, "earliestActivation": "2026-11-22T09:00:00Z"}});
        assert_eq!(
            described(pending, "Pending").unwrap(),
            "new  SHA256:new  decrypts, and seals from 2026-11-22T09:00:00Z on\n"
        );
        assert!(described(json!({}), "DecryptOnly").unwrap().contains("pins"));
        assert_eq!(described(json!({}), "Unreadable"), None);
    }

    #[test]
    fn the_state_of_a_blocked_rotation_names_the_cause() {
        let condition = |kind: &str, status: &str| {
            json!({
                "type": kind, "status": status, "reason": "ClockSkew", "message": "the clock is off", "lastTransitionTime": T
            })
        };
        let described = |kind, status| {
            state(&policy(T, &json!({"phase": "Failed", "conditions": [condition(kind, status)]})))
        };
        assert_eq!(described("Ready", "False"), "ClockSkew: the clock is off");
        assert_eq!(described("Ready", "True"), "phase Failed");
    }
}
