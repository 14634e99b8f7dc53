//! The loop of the election: sends the requests of a [`Candidate`], and publishes their outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DynamicObject, ObjectMeta, PostParams};
use kube::core::{ApiResource, TypeMeta};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt as _, watcher::Config};
use kube::{Api, Client, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use super::candidate::{Answer, Candidate, Observed, Request, Tenure};
use super::fence::Leadership;
use super::record::LeaseRecord;
use super::timing::{MAX_JITTER, Timing};
use crate::api::backoff::WatchBackoff;
use crate::api::client;
use crate::clock;

/// Attempts to release the Lease at the end. Without success it expires.
const ATTEMPTS_TO_RELEASE: u32 = 2;

/// Settings of an election.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) namespace: String,
    /// Name of the Lease.
    pub(crate) name: String,
    pub(crate) identity: String,
    pub(crate) timing: Timing,
}

/// One replica's part in the election.
pub(crate) struct Election {
    settings: Settings,
    leases: Api<DynamicObject>,
    candidate: Candidate,
    leadership: Leadership,
    /// The Lease of the last answer, whose further fields are kept.
    lease: Option<DynamicObject>,
    /// The message of the last refusal.
    refusal: String,
    /// True once the missing permission to watch the Lease was logged.
    is_watch_denied: Arc<AtomicBool>,
    log: RoleLog,
}

impl Election {
    /// Creates the part. `client` is used for nothing else, so nothing delays the renewals.
    pub(crate) fn new(client: Client, settings: Settings, leadership: Leadership) -> Self {
        Self {
            leases: Api::namespaced_with(client, &settings.namespace, &ApiResource::erase::<Lease>(&())),
            candidate: Candidate::new(settings.identity.clone(), settings.timing),
            log: RoleLog::new(&settings),
            leadership,
            lease: None,
            refusal: String::new(),
            is_watch_denied: Arc::default(),
            settings,
        }
    }

    /// Takes part until `resigned`, then releases the Lease.
    pub(crate) async fn run(mut self, resigned: CancellationToken) {
        let observed = self.watch();
        futures::pin_mut!(observed);
        loop {
            let due = self.candidate.due(Instant::now());
            tokio::select! {
                () = resigned.cancelled() => break,
                Some(observed) = observed.next() => {
                    self.candidate.on_watch(observed, Instant::now(), jitter());
                    self.publish();
                }
                () = tokio::time::sleep_until(due.into()) => {
                    self.attempt().await;
                    let is_silent = self.candidate.take_watch_silence();
                    if is_silent && !self.is_watch_denied.load(Ordering::Relaxed) {
                        observed.set(self.watch());
                    }
                }
            }
        }
        self.release().await;
    }

    /// Sends the requests of one attempt.
    async fn attempt(&mut self) {
        let timeout = self.settings.timing.request_timeout();
        self.candidate.begin_attempt();
        while let Some(request) = self.candidate.request(Instant::now(), clock::now()) {
            let sent = Instant::now();
            let answer = tokio::time::timeout(timeout, self.send(&request)).await;
            let answer = answer.unwrap_or(Answer::Failed);
            self.candidate.on_answer(&request, answer, sent, Instant::now(), jitter());
            self.publish();
        }
        self.publish();
    }

    /// Releases the Lease if this replica holds it, so that another one takes it at once.
    async fn release(&mut self) {
        self.candidate.resign();
        self.publish();
        for _ in 0..ATTEMPTS_TO_RELEASE {
            self.attempt().await;
        }
    }

    fn publish(&mut self) {
        let (tenure, now) = (self.candidate.tenure(), Instant::now());
        let leader =
            self.candidate.record().map(|record| record.holder.as_str()).filter(|holder| !holder.is_empty());
        self.leadership.publish(tenure, leader, now);
        self.log.note(tenure, now, &self.candidate, &self.refusal);
    }

    async fn send(&mut self, request: &Request) -> Answer {
        let outcome = match request {
            Request::Get => self.leases.get(&self.settings.name).await,
            Request::Create(record) => {
                self.leases.create(&PostParams::default(), &self.new_lease(record)).await
            }
            Request::Replace { record, version } => match self.changed_lease(record, version) {
                Some(lease) => self.leases.replace(&self.settings.name, &PostParams::default(), &lease).await,
                None => return Answer::Conflict,
            },
        };
        let (answer, lease) = answer(outcome, &mut self.refusal);
        self.lease = lease;
        answer
    }

    fn new_lease(&self, record: &LeaseRecord) -> DynamicObject {
        let metadata = ObjectMeta {
            name: Some(self.settings.name.clone()),
            namespace: Some(self.settings.namespace.clone()),
            ..ObjectMeta::default()
        };
        let types = TypeMeta::resource::<Lease>();
        let mut lease = DynamicObject { types: Some(types), metadata, data: serde_json::Value::Null };
        record.write_to(&mut lease);
        lease
    }

    fn changed_lease(&self, record: &LeaseRecord, version: &str) -> Option<DynamicObject> {
        let mut lease = self.lease.clone()?;
        lease.metadata.managed_fields = None;
        record.write_to(&mut lease);
        (lease.resource_version().as_deref() == Some(version)).then_some(lease)
    }

    /// Watches the Lease. A watch that fails is harmless: then a release is noticed when the next renewal is overdue.
    fn watch(&self) -> impl Stream<Item = Observed> + use<> {
        let config: Config = client::watching().fields(&format!("metadata.name={}", self.settings.name));
        let events = watcher(self.leases.clone(), config).backoff(WatchBackoff::optional());
        let (mut was_listed, is_logged) = (false, Arc::clone(&self.is_watch_denied));
        let name = format!("{}/{}", self.settings.namespace, self.settings.name);
        events.filter_map(move |event| {
            if let Err(error) = &event {
                log_watch_failure(error, &name, &is_logged);
            }
            std::future::ready(observed(event, &mut was_listed))
        })
    }
}

/// Returns the observation that an event of the watch yields, if any.
fn observed(event: watcher::Result<Event<DynamicObject>>, was_listed: &mut bool) -> Option<Observed> {
    match event.ok()? {
        Event::Init => {
            *was_listed = false;
            None
        }
        Event::InitApply(lease) => {
            *was_listed = true;
            Some(Observed::Lease(LeaseRecord::of(&lease)))
        }
        Event::InitDone => (!*was_listed).then_some(Observed::Absent),
        Event::Apply(lease) => Some(Observed::Lease(LeaseRecord::of(&lease))),
        Event::Delete(_) => Some(Observed::Absent),
    }
}

fn log_watch_failure(error: &watcher::Error, name: &str, is_logged: &AtomicBool) {
    if client::is_forbidden(error) && !is_logged.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "the permission to watch Lease {name} is missing, so its release is noticed only when the next renewal is overdue: {}",
            client::describe_watch_error(error)
        );
    }
}

/// Returns the meaning of an answer of the API server, and the Lease in it.
fn answer(
    outcome: Result<DynamicObject, kube::Error>,
    refusal: &mut String,
) -> (Answer, Option<DynamicObject>) {
    let answer = match outcome {
        Ok(lease) => {
            let version = lease.resource_version().unwrap_or_default();
            return (Answer::Lease(LeaseRecord::of(&lease), version), Some(lease));
        }
        Err(kube::Error::Api(status)) => match status.code {
            404 => Answer::Absent,
            409 => Answer::Conflict,
            400..=499 if !matches!(status.code, 408 | 429) => {
                refusal.clone_from(&status.message);
                Answer::Refused
            }
            _ => Answer::Failed,
        },
        Err(_) => Answer::Failed,
    };
    (answer, None)
}

fn jitter() -> Duration {
    MAX_JITTER.mul_f64(rand::random())
}

/// The last logged state of the election, so that each change is logged once.
struct RoleLog {
    lease: String,
    own_identity: String,
    role: Option<Role>,
    oddity: Option<String>,
}

/// The part of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Leads,
    Unelected,
    /// With the identity of the leader.
    Follows(String),
    /// Its term has ended, and no other leader is known.
    MissedRenewal,
    WaitsForLeader,
}

impl RoleLog {
    fn new(settings: &Settings) -> Self {
        let lease = format!("{}/{}", settings.namespace, settings.name);
        Self { lease, own_identity: settings.identity.clone(), role: None, oddity: None }
    }

    fn note(&mut self, tenure: Tenure, now: Instant, candidate: &Candidate, refusal: &str) {
        let others = candidate.record().filter(|record| !candidate.is_own(record));
        let oddity = others.and_then(|record| record.describe_oddity(&self.own_identity));
        if let Some(oddity) = oddity.as_ref().filter(|oddity| self.oddity.as_ref() != Some(*oddity)) {
            tracing::warn!("Lease {} {oddity}", self.lease);
        }
        self.oddity = oddity;
        let role = match (tenure, others) {
            (Tenure::Unelected, _) => Role::Unelected,
            (Tenure::LeadsUntil(end), _) if now < end => Role::Leads,
            (_, Some(record)) if !record.is_released() => Role::Follows(record.holder.clone()),
            (Tenure::LeadsUntil(_), _) => Role::MissedRenewal,
            (Tenure::Follows, _) => Role::WaitsForLeader,
        };
        if self.role.as_ref() != Some(&role) {
            self.log(&role, refusal);
            self.role = Some(role);
        }
    }

    fn log(&self, role: &Role, refusal: &str) {
        let Self { lease, own_identity, .. } = self;
        match role {
            Role::Leads => tracing::info!("this replica leads: it holds Lease {lease} as {own_identity}"),
            Role::Follows(leader) => {
                tracing::info!("this replica follows {leader}, which holds Lease {lease}");
            }
            Role::MissedRenewal => tracing::warn!(
                "this replica leads no longer: it could not renew Lease {lease} in time, and writes nothing until it can"
            ),
            Role::WaitsForLeader => tracing::info!("no replica holds Lease {lease}"),
            Role::Unelected => tracing::warn!(
                "the permission to use Lease {lease} is missing, so this replica works as without --leader-elect, beside all others; it asks again every 30 seconds: {refusal}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn refused_with(code: u16) -> Answer {
        let status = Status::failure("no", "").with_code(code).boxed();
        answer(Err(kube::Error::Api(status)), &mut String::new()).0
    }

    #[test]
    fn only_an_answer_that_lasts_is_a_refusal() {
        for (code, expected) in [
            (404, Answer::Absent),
            (409, Answer::Conflict),
            (401, Answer::Refused),
            (403, Answer::Refused),
            (422, Answer::Refused),
            (408, Answer::Failed),
            (429, Answer::Failed),
            (500, Answer::Failed),
            (503, Answer::Failed),
        ] {
            assert_eq!(refused_with(code), expected, "{code}");
        }
        let unreachable = kube::Error::Service("unreachable".into());
        assert_eq!(answer(Err(unreachable), &mut String::new()).0, Answer::Failed);
    }

    #[test]
    fn a_list_without_the_lease_shows_that_there_is_none() {
        let mut was_listed = true;
        let mut see = |event| observed(Ok(event), &mut was_listed);
        assert_eq!((see(Event::Init), see(Event::InitDone)), (None, Some(Observed::Absent)));
        let lease = DynamicObject::new("a", &ApiResource::erase::<Lease>(&()));
        let record = LeaseRecord::default();
        assert_eq!(see(Event::Init), None);
        assert_eq!(see(Event::InitApply(lease.clone())), Some(Observed::Lease(record)));
        assert_eq!((see(Event::InitDone), see(Event::Delete(lease))), (None, Some(Observed::Absent)));
    }
}
