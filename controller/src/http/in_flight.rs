//! In-flight limit: requests in flight and the memory of their bodies, in total and per client, so that one client cannot exhaust
//! them for the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Bytes;
use parking_lot::Mutex;

/// Limit of all clients together: concurrent requests, and bytes of received bodies and of unsent answers.
const IN_TOTAL: Amount = Amount { requests: 64, bytes: 16 << 20 };
/// Reserve beyond that for clients with a single request, so that a few clients with many requests do not block them.
const RESERVE: Amount = Amount { requests: 16, bytes: 4 << 20 };
/// Limits for one client: requests and bytes.
const PER_CLIENT: Amount = Amount { requests: 16, bytes: 4 << 20 };

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    requests: usize,
    bytes: usize,
}

impl Amount {
    const fn with(self, more: Self) -> Self {
        Self { requests: self.requests + more.requests, bytes: self.bytes + more.bytes }
    }

    /// Returns the sum, or `None` if it exceeds `most`.
    fn plus(self, more: Self, most: Self) -> Option<Self> {
        let sum = self.with(more);
        (sum.requests <= most.requests && sum.bytes <= most.bytes).then_some(sum)
    }

    fn minus(self, less: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(less.requests),
            bytes: self.bytes.saturating_sub(less.bytes),
        }
    }
}

/// Counts the requests in flight.
#[derive(Debug, Default)]
pub(crate) struct InFlightLimit {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    in_all: Amount,
    of_peers: HashMap<IpAddr, Amount>,
}

impl Held {
    fn take(&mut self, peer: IpAddr, more: Amount) -> Option<()> {
        let of_peer = self.of_peers.get(&peer).copied().unwrap_or_default().plus(more, PER_CLIENT)?;
        let most = if of_peer.requests > 1 { IN_TOTAL } else { IN_TOTAL.with(RESERVE) };
        let in_all = self.in_all.plus(more, most)?;
        self.in_all = in_all;
        self.of_peers.insert(peer, of_peer);
        Some(())
    }

    fn give_back(&mut self, peer: IpAddr, amount: Amount) {
        self.in_all = self.in_all.minus(amount);
        if let Some(of_peer) = self.of_peers.get_mut(&peer) {
            *of_peer = of_peer.minus(amount);
            if *of_peer == Amount::default() {
                self.of_peers.remove(&peer);
            }
        }
    }
}

/// The share of one request; released on drop.
#[derive(Debug)]
pub(crate) struct InFlight {
    limit: Arc<InFlightLimit>,
    peer: IpAddr,
    amount: Amount,
}

impl InFlightLimit {
    /// Admits a request of this client; `None` if the client, or all clients together, have reached their limit.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<InFlight> {
        let amount = Amount { requests: 1, bytes: 0 };
        self.held.lock().take(peer, amount)?;
        Some(InFlight { limit: Arc::clone(self), peer, amount })
    }
}

impl InFlight {
    /// Returns an answer that holds this share until its last byte has been written; `None` if it is longer than the
    /// body, which is no longer held, and exceeds the limit.
    pub(crate) fn answer(mut self, text: String) -> Option<Bytes> {
        self.keep_in_all(text.len())?;
        Some(Bytes::from_owner(HeldText { text, _in_flight: self }))
    }

    /// Reserves memory so that this request holds at least this number of bytes; `None` if that exceeds the limit.
    pub(crate) fn keep_in_all(&mut self, bytes: usize) -> Option<()> {
        self.keep(bytes.saturating_sub(self.amount.bytes))
    }

    /// Reserves memory for this number of bytes of the body; `None` if that exceeds the limit.
    pub(crate) fn keep(&mut self, bytes: usize) -> Option<()> {
        self.limit.held.lock().take(self.peer, Amount { requests: 0, bytes })?;
        self.amount.bytes += bytes;
        Some(())
    }
}

struct HeldText {
    text: String,
    _in_flight: InFlight,
}

impl AsRef<[u8]> for HeldText {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.limit.held.lock().give_back(self.peer, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn enter_all(limit: &Arc<InFlightLimit>, last: u8) -> Vec<InFlight> {
        std::iter::from_fn(|| limit.enter(peer(last))).collect()
    }

    #[test]
    fn a_peer_has_a_quarter_of_all_places_and_gives_them_back() {
        let limit = Arc::<InFlightLimit>::default();
        let first = enter_all(&limit, 1);
        assert_eq!(first.len(), 16);
        let others: Vec<_> = (2..=4).flat_map(|last| enter_all(&limit, last)).collect();
        assert_eq!(others.len(), 48);
        let mut single: Vec<_> = (5..=50).filter_map(|last| limit.enter(peer(last))).collect();
        assert_eq!(single.len(), 16, "a client with one request has a place where others have all");
        assert!(limit.enter(peer(5)).is_none());
        single.clear();
        drop(first);
        assert_eq!(enter_all(&limit, 10).len(), 16);
        drop(others);
        let held = limit.held.lock();
        assert_eq!((held.in_all, held.of_peers.len()), (Amount::default(), 0));
    }

    #[test]
    fn a_peer_has_a_quarter_of_the_room_for_bodies_and_gives_it_back() {
        let limit = Arc::<InFlightLimit>::default();
        let mut bodies: Vec<_> = (1..=5).map(|last| limit.enter(peer(last)).unwrap()).collect();
        let keep = |body: &mut InFlight, bytes| body.keep(bytes).is_some();
        assert!(keep(&mut bodies[0], 4 << 20) && !keep(&mut bodies[0], 1));
        assert!(!keep(&mut limit.enter(peer(1)).unwrap(), 1), "what it holds counts for all its requests");
        assert!((1..5).all(|other| keep(&mut bodies[other], 4 << 20)));
        let mut last = limit.enter(peer(6)).unwrap();
        assert!(!keep(&mut last, 1));
        bodies.remove(0);
        assert!(keep(&mut last, 4 << 20));
    }

    #[test]
    fn a_response_holds_its_memory_until_it_is_sent() {
        let limit = Arc::<InFlightLimit>::default();
        let mut request = limit.enter(peer(1)).unwrap();
        request.keep(10).unwrap();
        let answer = request.answer("x".repeat(25)).unwrap();
        assert_eq!(limit.held.lock().in_all, Amount { requests: 1, bytes: 25 });
        drop(answer.slice(5..));
        assert_eq!(limit.held.lock().in_all.bytes, 25);
        drop(answer);
        assert_eq!(limit.held.lock().in_all, Amount::default());
        assert!(limit.enter(peer(1)).unwrap().answer("x".repeat((4 << 20) + 1)).is_none());
        assert_eq!(limit.held.lock().in_all, Amount::default());
    }
}
