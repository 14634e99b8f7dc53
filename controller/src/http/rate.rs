//! How many requests are answered: token buckets, one for each client and two for all. The time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Peers that are remembered at the same time; beyond that only the common bucket counts.
const MAX_PEERS: usize = 1024;
/// All peers together may ask this many times as often as one.
const PEERS: f64 = 8.0;

/// A sustained rate, and how much may come at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) per_second: f64,
    /// Beside the first request, as upstream counts.
    pub(crate) burst: u32,
}

impl Limits {
    fn size(self) -> f64 {
        f64::from(self.burst) + 1.0
    }
}

/// What a peer has left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    /// Requests that may come at once.
    pub(crate) limit: u32,
    /// Requests that may come now.
    pub(crate) remaining: u32,
    /// When `remaining` is `limit` again, if nothing comes.
    pub(crate) full_after: Duration,
}

/// Whether a request is answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Admission {
    pub(crate) share: Share,
    /// It is one too many: the next one is answered after this time.
    pub(crate) wait: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn full(size: f64, now: Instant) -> Self {
        Self { tokens: size, filled: now }
    }

    fn refill(&mut self, per_second: f64, size: f64, now: Instant) {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * per_second;
        self.tokens = (self.tokens + gained).min(size);
        self.filled = now;
    }

    /// Takes a token, or says how long it takes until there is one.
    fn take(&mut self, per_second: f64, size: f64, now: Instant) -> Option<Duration> {
        self.refill(per_second, size, now);
        if self.tokens < 1.0 {
            return Some(Duration::from_secs_f64((1.0 - self.tokens) / per_second));
        }
        self.tokens -= 1.0;
        None
    }
}

#[derive(Debug)]
struct Buckets {
    common: Bucket,
    /// When the common one is empty, for clients that have not asked for a while: however many others ask all the time, they are
    /// answered.
    newcomers: Bucket,
    peers: HashMap<IpAddr, Bucket>,
}

/// Lets requests through at the rate of the flags for each client, at several times that for all together, and as often again for
/// those that have their whole burst left.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limits: Limits,
    buckets: Mutex<Buckets>,
}

impl RateLimiter {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        let common = Bucket::full(limits.size() * PEERS, now);
        Self { limits, buckets: Mutex::new(Buckets { common, newcomers: common, peers: HashMap::new() }) }
    }

    /// Counts a request.
    pub(crate) fn admit(&self, peer: IpAddr, now: Instant) -> Admission {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (per_second, size) = (self.limits.per_second, self.limits.size());
        if buckets.peers.len() >= MAX_PEERS {
            buckets.peers.retain(|_, bucket| {
                bucket.refill(per_second, size, now);
                bucket.tokens < size
            });
        }
        let (mut of_peer, mut is_newcomer) = (None, false);
        if buckets.peers.len() < MAX_PEERS || buckets.peers.contains_key(&peer) {
            let bucket = buckets.peers.entry(peer).or_insert_with(|| Bucket::full(size, now));
            bucket.refill(per_second, size, now);
            is_newcomer = bucket.tokens >= size;
            let wait = bucket.take(per_second, size, now);
            of_peer = Some((*bucket, wait));
        }
        // One that is turned away takes nothing from the others.
        let wait = match of_peer {
            Some((_, Some(wait))) => Some(wait),
            _ => match buckets.common.take(per_second * PEERS, size * PEERS, now) {
                Some(_) if is_newcomer => buckets.newcomers.take(per_second * PEERS, size * PEERS, now),
                wait => wait,
            },
        };
        Admission { share: self.share(of_peer.map_or(buckets.common, |(bucket, _)| bucket)), wait }
    }

    fn share(&self, bucket: Bucket) -> Share {
        let limit = self.limits.burst.saturating_add(1);
        let missing = (self.limits.size() - bucket.tokens).max(0.0);
        Share {
            limit,
            remaining: whole(bucket.tokens),
            full_after: Duration::from_secs_f64(missing / self.limits.per_second),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tokens lie between 0 and 2^32")]
fn whole(tokens: f64) -> u32 {
    tokens as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn a_peer_has_its_burst_then_its_rate_and_does_not_use_up_that_of_others() {
        let start = Instant::now();
        let limiter = RateLimiter::new(Limits { per_second: 2.0, burst: 2 }, start);
        assert_eq!([0; 3].map(|_| limiter.admit(ONE, start).wait), [None; 3]);
        assert_eq!(limiter.admit(ONE, start).wait, Some(Duration::from_millis(500)));
        assert_eq!(limiter.admit(OTHER, start).wait, None);
        assert_eq!(limiter.admit(ONE, start + Duration::from_millis(500)).wait, None);
    }

    #[test]
    fn a_share_counts_down_as_upstreams_headers_do() {
        let start = Instant::now();
        let limiter = RateLimiter::new(Limits { per_second: 2.0, burst: 2 }, start);
        let shares = [0; 4].map(|_| limiter.admit(ONE, start).share);
        assert_eq!(shares.map(|share| (share.limit, share.remaining)), [(3, 2), (3, 1), (3, 0), (3, 0)]);
        assert_eq!(shares.map(|share| share.full_after.as_millis()), [500, 1000, 1500, 1500]);
    }

    fn admitted(limiter: &RateLimiter, peers: std::ops::Range<u8>, now: Instant) -> usize {
        let peers = peers.map(|last| IpAddr::from([10, 0, 1, last]));
        peers.filter(|peer| limiter.admit(*peer, now).wait.is_none()).count()
    }

    #[test]
    fn many_peers_together_are_limited_too() {
        let start = Instant::now();
        let limiter = RateLimiter::new(Limits { per_second: 1.0, burst: 0 }, start);
        assert_eq!(admitted(&limiter, 0..100, start), 16);
    }

    #[test]
    fn peers_that_ask_all_the_time_do_not_keep_out_one_that_has_not_asked_for_a_while() {
        let start = Instant::now();
        let limiter = RateLimiter::new(Limits { per_second: 2.0, burst: 2 }, start);
        for round in 0..1000 {
            let now = start + Duration::from_millis(50) * round;
            admitted(&limiter, 0..20, now);
        }
        let later = start + Duration::from_secs(50);
        assert_eq!(admitted(&limiter, 0..20, later), 0, "all that is common is used up");
        assert_eq!(admitted(&limiter, 100..110, later), 10);
    }
}
