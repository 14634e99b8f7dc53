//! The work of the leader: SealedSecrets and their Secrets, the `SealingKeys`, and the status of policies.
//!
//! Each term begins like a start of the process, with lists, queues and memory of its own, and ends with all of them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use kube::Client;
use sealed_secrets_crds::{SealingKey, SealingKeyPolicy};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::api::optional_crd_watch::{Follower, Watched};
use crate::args::Args;
use crate::context::Context;
use crate::keystore::list::refresh::KeyRefresh;
use crate::keystore::publish::RingReceiver;
use crate::keystore::{DesiredStates, KeysView};
use crate::leadership::Leadership;
use crate::metrics::Metrics;
use crate::policy::Reporter;
use crate::sealed_secret;
use crate::sealed_secret::Selection;
use crate::sealed_secret::decrypt::diagnosis_limit::DiagnosisLimit;
use crate::sealing_keys::SealingKeys;
use crate::startup::error::StartError;
use crate::usage::KeyUsageIndex;
use crate::work::limits::WorkLimits;
use crate::work::object_memory::ObjectMemory;

/// Time for work in flight after SIGTERM, before another replica takes over. That replica resumes what is left.
const BEFORE_HANDOVER: Duration = Duration::from_secs(1);

/// Inputs of each term.
pub(super) struct LeaderWork {
    pub(super) client: Client,
    pub(super) args: Args,
    pub(super) namespace: String,
    pub(super) selection: Selection,
    pub(super) ring: RingReceiver,
    pub(super) views: watch::Receiver<Option<Arc<KeysView>>>,
    pub(super) key_refresh: Arc<KeyRefresh>,
    pub(super) policies: watch::Receiver<Watched<SealingKeyPolicy>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) usage: Arc<KeyUsageIndex>,
    pub(super) desired_states: watch::Sender<DesiredStates>,
    /// True once an absent kind was logged.
    pub(super) absence_logged: Arc<AtomicBool>,
}

impl LeaderWork {
    /// Works in each term of this replica, until `stop`. Then work in flight is finished.
    ///
    /// # Errors
    /// If a task that should run for a whole term has ended.
    pub(super) async fn run(
        &self,
        leadership: &Leadership,
        stop: &CancellationToken,
    ) -> Result<(), StartError> {
        while !stop.is_cancelled() {
            let term = tokio::select! {
                term = leadership.term_begun() => term,
                () = stop.cancelled() => break,
            };
            self.work_until(leadership.term_ended(term), leadership, stop).await?;
        }
        Ok(())
    }

    /// Works until `end`, or until `stop` and a while longer.
    pub(super) async fn work_until(
        &self,
        end: impl Future<Output = ()>,
        leadership: &Leadership,
        stop: &CancellationToken,
    ) -> Result<(), StartError> {
        let tasks = TaskTracker::new();
        let outcome = tokio::select! {
            outcome = self.term(&tasks, stop) => outcome,
            () = end => Ok(()),
            () = handed_over(leadership, stop), if self.args.leader_elect => Ok(()),
        };
        // The tasks were aborted when the future of the term was dropped.
        tasks.close();
        tasks.wait().await;
        if self.args.leader_elect {
            self.forget_objects();
        }
        outcome
    }

    /// Runs the tasks of one term, which end when this future is dropped.
    async fn term(&self, tasks: &TaskTracker, stop: &CancellationToken) -> Result<(), StartError> {
        let run = |task| AbortOnDropHandle::new(task);
        let sealing_key_watch =
            Follower::<SealingKey>::new(self.client.clone(), &self.namespace, &self.absence_logged);
        let sealing_key_writer = run(tasks.spawn(self.sealing_key_writer(&sealing_key_watch).run()));
        let sealing_key_watch = run(tasks.spawn(sealing_key_watch.run()));
        let reporter = run(tasks.spawn(self.reporter().run()));
        let work = sealed_secret::run(self.context(), self.selection.clone(), stop.clone());
        let work = run(tasks.spawn(work));
        tokio::select! {
            // Only a panic ends the others.
            ended = work => ended.map_err(|_| StartError::Stopped("the SealedSecret controller")),
            _ = sealing_key_watch => Err(StartError::Stopped("the watch of SealingKeys")),
            _ = sealing_key_writer => Err(StartError::Stopped("the writer of SealingKeys")),
            _ = reporter => Err(StartError::Stopped("the writer of policies")),
        }
    }

    fn sealing_key_writer(&self, sealing_key_watch: &Follower<SealingKey>) -> SealingKeys {
        SealingKeys::new(
            self.client.clone(),
            &self.namespace,
            self.views.clone(),
            sealing_key_watch.subscribe(),
            self.usage.subscribe(),
            self.desired_states.clone(),
            Arc::clone(&self.key_refresh),
        )
    }

    fn reporter(&self) -> Reporter {
        let (policies, views) = (self.policies.clone(), self.views.clone());
        Reporter::new(self.client.clone(), &self.namespace, policies, views, self.usage.subscribe())
    }

    fn context(&self) -> Arc<Context> {
        let args = &self.args;
        Arc::new(Context {
            client: self.client.clone(),
            key_prefix: args.key_prefix.clone(),
            policies: self.policies.clone(),
            v1_data: args.v1_data(),
            denied_types: args.denied_types(),
            update_status: args.update_status,
            max_retries: args.max_unseal_retries,
            ring: self.ring.clone(),
            key_refresh: Arc::clone(&self.key_refresh),
            metrics: Arc::clone(&self.metrics),
            usage: Arc::clone(&self.usage),
            work: WorkLimits::new(),
            queue: Arc::default(),
            diagnosis_limit: DiagnosisLimit::default(),
            object_memory: ObjectMemory::of(args.memory_limit),
            template_budget: args.template_budget(),
            crd_prunes_status: AtomicBool::new(false),
            namespace: self.namespace.clone(),
        })
    }

    /// Forgets what only a leader knows.
    fn forget_objects(&self) {
        self.usage.reset(self.metrics.usage());
        self.metrics.forget_objects();
        self.desired_states.send_replace(DesiredStates::new());
    }
}

/// Completes when the time limit of work in flight is over after `stop`. Nothing new begins meanwhile.
async fn handed_over(leadership: &Leadership, stop: &CancellationToken) {
    stop.cancelled().await;
    leadership.finish();
    tokio::time::sleep(BEFORE_HANDOVER).await;
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::startup::END_WITH_REPLICAS;

    #[tokio::test]
    async fn work_in_flight_has_a_second_between_the_signal_and_the_handover() {
        let (leadership, stop) = (Leadership::elected(), CancellationToken::new());
        let handover = handed_over(&leadership, &stop);
        tokio::pin!(handover);
        let before = tokio::time::timeout(Duration::from_millis(10), handover.as_mut()).await;
        assert!(before.is_err(), "nobody asked it to stop");
        let signal = Instant::now();
        stop.cancel();
        handover.await;
        let waited = signal.elapsed();
        assert!(waited >= Duration::from_secs(1) && waited < END_WITH_REPLICAS / 2, "{waited:?}");
    }
}
