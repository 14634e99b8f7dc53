//! The fence: writes are sent only while this replica leads.
//!
//! The end of a term is compared with the clock as each request is sent, so a process that was paused sends nothing of
//! an old term, even before any of its timers has run.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures::future::{BoxFuture, FutureExt as _, ready};
use http::{Method, Request};
use thiserror::Error;
use tokio::sync::watch;
use tower::{BoxError, Layer, Service};

use super::candidate::Tenure;

/// The error of a write that was not sent.
#[derive(Debug, Error)]
#[error("this replica does not lead any more, so it writes nothing")]
pub(crate) struct NotLeading;

/// The outcome of the election, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// Number of terms that have begun here.
    terms: u64,
    tenure: Tenure,
    /// Identity of the last known leader.
    leader: Option<String>,
    /// True if the last term here is being finished: nothing new begins.
    is_finishing: bool,
}

impl State {
    fn term(&self, now: Instant) -> Option<u64> {
        self.tenure.permits_writes(now).then_some(self.terms)
    }

    fn active_term(&self, now: Instant) -> Option<u64> {
        self.term(now).filter(|_| !self.is_finishing)
    }
}

/// The leadership of this replica, shared by everything that depends on it.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    state: Arc<watch::Sender<State>>,
}

impl Leadership {
    /// Creates the leadership of a replica without an election: its only term lasts as long as the process.
    pub(crate) fn unelected() -> Self {
        Self::of(Tenure::Unelected, 1)
    }

    /// Creates the leadership of a replica that takes part in an election.
    pub(crate) fn elected() -> Self {
        Self::of(Tenure::Follows, 0)
    }

    fn of(tenure: Tenure, terms: u64) -> Self {
        let state = State { terms, tenure, leader: None, is_finishing: false };
        Self { state: Arc::new(watch::Sender::new(state)) }
    }

    /// Publishes the outcome of the election.
    pub(crate) fn publish(&self, tenure: Tenure, leader: Option<&str>, now: Instant) {
        self.state.send_if_modified(|state| {
            let before = state.clone();
            let is_same_term = state.tenure.permits_writes(now)
                && (state.tenure == Tenure::Unelected) == (tenure == Tenure::Unelected);
            state.terms += u64::from(tenure.permits_writes(now) && !is_same_term);
            state.tenure = tenure;
            state.leader = leader.map(str::to_owned);
            *state != before
        });
    }

    /// Lets nothing new begin; what has begun may still be written.
    pub(crate) fn finish(&self) {
        self.state.send_modify(|state| state.is_finishing = true);
    }

    /// Returns true if this replica may write.
    pub(crate) fn may_write(&self, now: Instant) -> bool {
        self.state.borrow().tenure.permits_writes(now)
    }

    /// Returns the number of the current term, if this replica may begin something in it.
    pub(crate) fn active_term(&self, now: Instant) -> Option<u64> {
        self.state.borrow().active_term(now)
    }

    /// Returns the number of terms that have begun here.
    pub(crate) fn terms(&self) -> u64 {
        self.state.borrow().terms
    }

    /// Returns the identity of the last known leader.
    pub(crate) fn leader(&self) -> Option<String> {
        self.state.borrow().leader.clone()
    }

    /// Waits until this replica leads. Returns the number of its term.
    pub(crate) async fn term_begun(&self) -> u64 {
        self.wait_for(State::term).await
    }

    /// Waits until this term has ended.
    pub(crate) async fn term_ended(&self, term: u64) {
        self.wait_for(|state, now| (state.term(now) != Some(term)).then_some(())).await;
    }

    /// Waits until [`Self::active_term`] is another one than `known`.
    pub(crate) async fn active_term_changed(&self, known: Option<u64>) {
        self.wait_for(|state, now| (state.active_term(now) != known).then_some(())).await;
    }

    /// Waits until `find` returns something, which changes when the state does or a term ends.
    async fn wait_for<T>(&self, find: impl Fn(&State, Instant) -> Option<T>) -> T {
        let mut changes = self.state.subscribe();
        loop {
            let state = changes.borrow_and_update().clone();
            let now = Instant::now();
            if let Some(found) = find(&state, now) {
                return found;
            }
            let end = async {
                match state.tenure {
                    Tenure::LeadsUntil(end) if now < end => tokio::time::sleep_until(end.into()).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                // The sender lives as long as `self`.
                _ = changes.changed() => {}
                () = end => {}
            }
        }
    }
}

/// A layer that refuses writes of a replica that does not lead.
#[derive(Clone, Debug)]
pub(crate) struct Fence(pub(crate) Leadership);

impl<S> Layer<S> for Fence {
    type Service = Fenced<S>;

    fn layer(&self, inner: S) -> Fenced<S> {
        Fenced { inner, leadership: self.0.clone() }
    }
}

/// A service that sends writes only while this replica leads.
#[derive(Clone, Debug)]
pub(crate) struct Fenced<S> {
    inner: S,
    leadership: Leadership,
}

impl<S, B, R> Service<Request<B>> for Fenced<S>
where
    S: Service<Request<B>, Response = R, Error = BoxError>,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = R;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<R, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if *request.method() != Method::GET && !self.leadership.may_write(Instant::now()) {
            return ready(Err(NotLeading.into())).boxed();
        }
        self.inner.call(request).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    const TERM: Duration = Duration::from_secs(10);

    /// Sends a request through the fence. Returns true if it arrives.
    fn arrives(leadership: &Leadership, method: Method) -> bool {
        let echo = service_fn(async |_: Request<()>| Ok::<(), BoxError>(()));
        let request = Request::builder().method(method).body(()).unwrap();
        Fence(leadership.clone()).layer(echo).oneshot(request).now_or_never().unwrap().is_ok()
    }

    #[test]
    fn a_follower_reads_and_writes_nothing_and_a_leader_writes_until_its_term_ends() {
        let (leadership, now) = (Leadership::elected(), Instant::now());
        let passes = |leadership: &Leadership| {
            let writes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
            let written = writes.map(|method| arrives(leadership, method));
            assert!(arrives(leadership, Method::GET));
            assert!(written.iter().all(|arrived| *arrived == written[0]));
            written[0]
        };
        assert!(!passes(&leadership));
        leadership.publish(Tenure::LeadsUntil(now + TERM), None, now);
        assert!(passes(&leadership));
        leadership.publish(Tenure::LeadsUntil(now), None, now);
        assert!(!passes(&leadership), "the end has passed, though nobody has said so");
        assert!(passes(&Leadership::unelected()));
    }

    #[test]
    fn a_renewal_continues_a_term_and_a_claim_after_its_end_begins_another() {
        let (leadership, now) = (Leadership::elected(), Instant::now());
        let until = |seconds| Tenure::LeadsUntil(now + Duration::from_secs(seconds));
        let mut terms = Vec::new();
        for (tenure, at) in [
            (until(10), 0),
            (until(15), 5),
            (until(30), 20),
            (Tenure::Unelected, 25),
            (Tenure::Unelected, 60),
            (Tenure::Follows, 61),
            (until(80), 70),
        ] {
            leadership.publish(tenure, Some("a"), now + Duration::from_secs(at));
            terms.push(leadership.terms());
        }
        assert_eq!(terms, [1, 1, 2, 3, 3, 3, 4]);
        assert_eq!(leadership.leader().as_deref(), Some("a"));
    }

    #[test]
    fn a_term_that_is_finishing_may_write_and_starts_nothing() {
        let (leadership, now) = (Leadership::unelected(), Instant::now());
        assert_eq!(leadership.active_term(now), Some(1));
        leadership.finish();
        assert!(leadership.may_write(now) && leadership.active_term(now).is_none());
    }

    #[tokio::test]
    async fn the_end_of_a_term_is_noticed_though_nobody_publishes_it() {
        let (leadership, now) = (Leadership::elected(), Instant::now());
        assert!(leadership.term_begun().now_or_never().is_none());
        leadership.publish(Tenure::LeadsUntil(now + Duration::from_millis(20)), None, now);
        let term = leadership.term_begun().await;
        leadership.term_ended(term).await;
        assert!(!leadership.may_write(Instant::now()));
        leadership.active_term_changed(Some(term)).await;
        assert!(leadership.active_term_changed(None).now_or_never().is_none());
    }
}
