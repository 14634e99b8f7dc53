//! Rate limits: token buckets, one per client and two for all clients. The time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::work::token_bucket::{Rate, TokenBucket};

/// Number of clients with a bucket of their own; further ones use only the common bucket.
const MAX_PEERS: usize = 1024;
/// Rate of all clients together, as a multiple of the rate of one.
const PEERS: f64 = 8.0;
/// Charge for a request, in tokens.
pub(super) const WHOLE: f64 = 1.0;

/// A sustained rate, and a burst.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) per_second: f64,
    /// Requests in addition to the first one, as upstream counts.
    pub(crate) burst: u32,
}

impl Limits {
    /// The rate of one client.
    fn rate(self) -> Rate {
        Rate { per_second: self.per_second, size: f64::from(self.burst) + 1.0 }
    }
}

/// The remaining tokens of a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    /// Size of the bucket, in requests.
    pub(crate) limit: u32,
    /// Requests that are accepted now.
    pub(crate) remaining: u32,
    /// Time until `remaining` equals `limit` again, without further requests.
    pub(crate) full_after: Duration,
}

/// The decision about a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Admission {
    pub(crate) share: Share,
    /// If the request is refused, the time until the next one is accepted.
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug)]
struct Buckets {
    common: TokenBucket,
    /// Bucket for clients without recent requests, used when the common one is empty: they are answered even if others
    /// send requests continuously.
    newcomers: TokenBucket,
    peers: HashMap<IpAddr, TokenBucket>,
}

/// Admits requests at the rate of the flags per client, at a multiple of it for all clients together, and at the same
/// multiple again for clients that have their whole burst left.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limits: Limits,
    buckets: Mutex<Buckets>,
}

impl RateLimiter {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        let common = TokenBucket::full(limits.rate().times(PEERS), now);
        Self { limits, buckets: Mutex::new(Buckets { common, newcomers: common, peers: HashMap::new() }) }
    }

    /// Charges a request at this cost, in tokens, and decides on it. A refused request costs the client nothing.
    pub(crate) fn admit(&self, peer: IpAddr, cost: f64, now: Instant) -> Admission {
        let mut buckets = self.buckets.lock();
        let rate = self.limits.rate();
        if buckets.peers.len() >= MAX_PEERS {
            buckets.peers.retain(|_, bucket| bucket.refilled(rate, now).tokens < rate.size);
        }
        let (mut of_peer, mut is_newcomer) = (None, false);
        if buckets.peers.len() < MAX_PEERS || buckets.peers.contains_key(&peer) {
            let bucket = buckets.peers.entry(peer).or_insert_with(|| TokenBucket::full(rate, now));
            is_newcomer = bucket.refilled(rate, now).tokens >= rate.size;
            let wait = bucket.take(cost, rate, now);
            of_peer = Some((*bucket, wait));
        }
        // A refused request takes no token from the common buckets.
        let common = rate.times(PEERS);
        let wait = match of_peer {
            Some((_, Some(wait))) => Some(wait),
            _ => match buckets.common.take(cost, common, now) {
                Some(_) if is_newcomer => buckets.newcomers.take(cost, common, now),
                wait => wait,
            },
        };
        Admission { share: self.share(of_peer.map_or(buckets.common, |(bucket, _)| bucket)), wait }
    }

    /// Charges the work of a request that was admitted, in tokens. The buckets may become negative.
    pub(crate) fn charge(&self, peer: IpAddr, cost: f64, now: Instant) {
        let mut buckets = self.buckets.lock();
        let rate = self.limits.rate();
        buckets.common.charge(cost, rate.times(PEERS), now);
        if let Some(bucket) = buckets.peers.get_mut(&peer) {
            bucket.charge(cost, rate, now);
        }
    }

    fn share(&self, bucket: TokenBucket) -> Share {
        let limit = self.limits.burst.saturating_add(1);
        let missing = (self.limits.rate().size - bucket.tokens).max(0.0);
        Share {
            limit,
            remaining: whole(bucket.tokens),
            full_after: Duration::from_secs_f64(missing / self.limits.per_second),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tokens lie below 2^32, and those below 0 are 0"
)]
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
        assert_eq!([0; 3].map(|_| limiter.admit(ONE, WHOLE, start).wait), [None; 3]);
        assert_eq!(limiter.admit(ONE, WHOLE, start).wait, Some(Duration::from_millis(500)));
        assert_eq!(limiter.admit(OTHER, WHOLE, start).wait, None);
        assert_eq!(limiter.admit(ONE, WHOLE, start + Duration::from_millis(500)).wait, None);
    }

    #[test]
    fn a_share_counts_down_as_upstreams_headers_do() {
        let start = Instant::now();
        let limiter = RateLimiter::new(Limits { per_second: 2.0, burst: 2 }, start);
        let shares = [0; 4].map(|_| limiter.admit(ONE, WHOLE, start).share);
        assert_eq!(shares.map(|share| (share.limit, share.remaining)), [(3, 2), (3, 1), (3, 0), (3, 0)]);
        assert_eq!(shares.map(|share| share.full_after.as_millis()), [500, 1000, 1500, 1500]);
    }

    fn admitted(limiter: &RateLimiter, peers: std::ops::Range<u8>, now: Instant) -> usize {
        let peers = peers.map(|last| IpAddr::from([10, 0, 1, last]));
        peers.filter(|peer| limiter.admit(*peer, WHOLE, now).wait.is_none()).count()
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

    #[test]
    fn work_is_charged_after_its_request_was_admitted_and_delays_the_next_one_of_its_client_only() {
        let start = Instant::now();
        let limiter = RateLimiter::new(Limits { per_second: 2.0, burst: 2 }, start);
        assert_eq!(limiter.admit(ONE, 0.02, start).wait, None);
        limiter.charge(ONE, 5.0, start);
        let refused = limiter.admit(ONE, 0.02, start);
        assert_eq!(refused.wait, Some(Duration::from_millis(1020)), "3 - 0.02 - 5 tokens are there");
        assert_eq!(refused.share.remaining, 0);
        assert_eq!(limiter.admit(OTHER, WHOLE, start).wait, None);
        assert_eq!(limiter.admit(ONE, 0.02, start + Duration::from_millis(1020)).wait, None);
    }

    #[test]
    fn work_of_many_peers_is_charged_to_all_of_them_together() {
        let start = Instant::now();
        let limiter = RateLimiter::new(Limits { per_second: 1.0, burst: 0 }, start);
        limiter.charge(ONE, 8.0, start);
        assert_eq!(admitted(&limiter, 0..100, start), 8, "the newcomers' half is left");
    }
}
