//! What requests hold until their answers have been sent, so much in all and so much for each client: one cannot lock out the others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Bytes;

/// All clients together: requests at once, and bytes of bodies that have come and of answers that have not gone.
const OF_ALL: Amount = Amount { requests: 64, bytes: 16 << 20 };
/// Beyond that, for clients with a single request: a few with many do not keep them out.
const RESERVE: Amount = Amount { requests: 16, bytes: 4 << 20 };
/// One client.
const OF_ONE: Amount = Amount { requests: 16, bytes: 4 << 20 };

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    requests: usize,
    bytes: usize,
}

impl Amount {
    const fn with(self, more: Self) -> Self {
        Self { requests: self.requests + more.requests, bytes: self.bytes + more.bytes }
    }

    /// The sum, unless it is more than `most`.
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

/// What all requests hold.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    in_all: Amount,
    of_peers: HashMap<IpAddr, Amount>,
}

impl Held {
    fn take(&mut self, peer: IpAddr, more: Amount) -> Option<()> {
        let of_peer = self.of_peers.get(&peer).copied().unwrap_or_default().plus(more, OF_ONE)?;
        let most = if of_peer.requests > 1 { OF_ALL } else { OF_ALL.with(RESERVE) };
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

/// What one request holds; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Holding {
    house: Arc<Holdings>,
    peer: IpAddr,
    amount: Amount,
}

impl Holdings {
    /// A place for a request of this peer; `None` if it has too many, or all have.
    pub(super) fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Holding> {
        let amount = Amount { requests: 1, bytes: 0 };
        self.lock().take(peer, amount)?;
        Some(Holding { house: Arc::clone(self), peer, amount })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holding {
    /// An answer that holds this until the last of it has been written; `None` if there is no room for one that is longer than the
    /// body, which is done with.
    pub(super) fn answer(mut self, text: String) -> Option<Bytes> {
        self.keep(text.len().saturating_sub(self.amount.bytes))?;
        Some(Bytes::from_owner(HeldText { text, _holding: self }))
    }

    /// Room for so many bytes more of the body; `None` if there is none.
    pub(super) fn keep(&mut self, bytes: usize) -> Option<()> {
        self.house.lock().take(self.peer, Amount { requests: 0, bytes })?;
        self.amount.bytes += bytes;
        Some(())
    }
}

struct HeldText {
    text: String,
    _holding: Holding,
}

impl AsRef<[u8]> for HeldText {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.house.lock().give_back(self.peer, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn enter_all(house: &Arc<Holdings>, last: u8) -> Vec<Holding> {
        std::iter::from_fn(|| house.enter(peer(last))).collect()
    }

    #[test]
    fn a_peer_has_a_quarter_of_all_places_and_gives_them_back() {
        let house = Arc::<Holdings>::default();
        let first = enter_all(&house, 1);
        assert_eq!(first.len(), 16);
        let others: Vec<_> = (2..=4).flat_map(|last| enter_all(&house, last)).collect();
        assert_eq!(others.len(), 48);
        let mut single: Vec<_> = (5..=50).filter_map(|last| house.enter(peer(last))).collect();
        assert_eq!(single.len(), 16, "a client with one request has a place where others have all");
        assert!(house.enter(peer(5)).is_none());
        single.clear();
        drop(first);
        assert_eq!(enter_all(&house, 10).len(), 16);
        drop(others);
        let held = house.lock();
        assert_eq!((held.in_all, held.of_peers.len()), (Amount::default(), 0));
    }

    #[test]
    fn a_peer_has_a_quarter_of_the_room_for_bodies_and_gives_it_back() {
        let house = Arc::<Holdings>::default();
        let mut bodies: Vec<_> = (1..=5).map(|last| house.enter(peer(last)).unwrap()).collect();
        let keep = |body: &mut Holding, bytes| body.keep(bytes).is_some();
        assert!(keep(&mut bodies[0], 4 << 20) && !keep(&mut bodies[0], 1));
        assert!(!keep(&mut house.enter(peer(1)).unwrap(), 1), "what it holds counts for all its requests");
        assert!((1..5).all(|other| keep(&mut bodies[other], 4 << 20)));
        let mut last = house.enter(peer(6)).unwrap();
        assert!(!keep(&mut last, 1));
        bodies.remove(0);
        assert!(keep(&mut last, 4 << 20));
    }

    #[test]
    fn an_answer_holds_what_it_takes_until_it_is_gone() {
        let house = Arc::<Holdings>::default();
        let mut request = house.enter(peer(1)).unwrap();
        request.keep(10).unwrap();
        let answer = request.answer("x".repeat(25)).unwrap();
        assert_eq!(house.lock().in_all, Amount { requests: 1, bytes: 25 });
        drop(answer.slice(5..));
        assert_eq!(house.lock().in_all.bytes, 25);
        drop(answer);
        assert_eq!(house.lock().in_all, Amount::default());
        assert!(house.enter(peer(1)).unwrap().answer("x".repeat((4 << 20) + 1)).is_none());
        assert_eq!(house.lock().in_all, Amount::default());
    }
}
