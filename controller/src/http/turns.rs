//! Whose turn it is: one request at a time, and the turns go round the peers that wait.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{self, Sender};

/// Requests that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Somebody has the turn, or is about to be told so.
    taken: bool,
    /// Who is next comes first; nobody without requests is in here.
    waiting: VecDeque<(IpAddr, VecDeque<Sender<Turn>>)>,
}

impl State {
    fn wait(&mut self, peer: IpAddr, request: Sender<Turn>) {
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == peer) {
            Some((_, requests)) => requests.push_back(request),
            None => self.waiting.push_back((peer, [request].into())),
        }
    }

    /// The first request of the first peer, which is the last one then.
    fn next(&mut self) -> Option<Sender<Turn>> {
        let (peer, mut requests) = self.waiting.pop_front()?;
        let request = requests.pop_front();
        if !requests.is_empty() {
            self.waiting.push_back((peer, requests));
        }
        request
    }
}

/// The turn, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Turns>);

impl Turns {
    /// Returns when it is the turn of this request, `None` if that never comes. Whoever does not wait any more is passed over.
    pub(super) async fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Turn> {
        let (request, turn) = oneshot::channel();
        self.lock().wait(peer, request);
        self.pass_on_if_free();
        turn.await.ok()
    }

    fn pass_on_if_free(self: &Arc<Self>) {
        let next = {
            let mut state = self.lock();
            let next = if state.taken { None } else { state.next() };
            state.taken |= next.is_some();
            next
        };
        if let Some(request) = next {
            // The turn of somebody who has gone comes back, and is passed on when it is dropped here.
            drop(request.send(Turn(Arc::clone(self))));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().taken = false;
        self.0.pass_on_if_free();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt as _;
    use futures::poll;

    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[tokio::test]
    async fn the_turns_go_round_the_peers() {
        let turns = Arc::<Turns>::default();
        let first = turns.take(peer(1)).await.unwrap();
        let mut greedy = [1; 3].map(|last| Box::pin(turns.take(peer(last))));
        for request in &mut greedy {
            assert!(poll!(request).is_pending());
        }
        let mut other = pin!(turns.take(peer(2)));
        assert!(poll!(&mut other).is_pending());
        let [second, third, fourth] = &mut greedy;
        drop(first);
        assert!(poll!(&mut *third).is_pending() && poll!(&mut other).is_pending());
        drop(second.now_or_never().flatten().unwrap());
        assert!(poll!(&mut *third).is_pending());
        drop(other.now_or_never().flatten().unwrap());
        drop(third.now_or_never().flatten().unwrap());
        drop(fourth.now_or_never().flatten().unwrap());
        assert!(turns.take(peer(3)).now_or_never().flatten().is_some());
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_is_passed_over() {
        let turns = Arc::<Turns>::default();
        let first = turns.take(peer(1)).await.unwrap();
        let mut waiting = [1, 2, 1, 3].map(|last| Box::pin(turns.take(peer(last))));
        for request in &mut waiting {
            assert!(poll!(request).is_pending());
        }
        let [gone, gone_too, told, last] = waiting;
        drop(gone);
        drop(gone_too);
        drop(first);
        // It is its turn, and it has not noticed.
        drop(last);
        assert!(told.now_or_never().flatten().is_some());
    }
}
