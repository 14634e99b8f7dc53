//! How many requests are answered: token buckets, one for all and one for each peer. The time is an argument.

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
    pub(crate) burst: f64,
}

impl Limits {
    fn times(self, factor: f64) -> Self {
        Self { per_second: self.per_second * factor, burst: self.burst * factor }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn full(limits: Limits, now: Instant) -> Self {
        Self { tokens: limits.burst, filled: now }
    }

    fn refill(&mut self, limits: Limits, now: Instant) {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * limits.per_second;
        self.tokens = (self.tokens + gained).min(limits.burst);
        self.filled = now;
    }

    /// Takes a token, or says how long it takes until there is one.
    fn take(&mut self, limits: Limits, now: Instant) -> Result<(), Duration> {
        self.refill(limits, now);
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / limits.per_second));
        }
        self.tokens -= 1.0;
        Ok(())
    }
}

#[derive(Debug)]
struct Buckets {
    common: Bucket,
    peers: HashMap<IpAddr, Bucket>,
}

/// Lets requests through at the rate of the flags for each peer, and at several times that for all together.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limits: Limits,
    buckets: Mutex<Buckets>,
}

impl RateLimiter {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        let common = Bucket::full(limits.times(PEERS), now);
        Self { limits, buckets: Mutex::new(Buckets { common, peers: HashMap::new() }) }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// It is one too many; the next one is answered after this time.
    pub(crate) fn admit(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = self.limits;
        if buckets.peers.len() >= MAX_PEERS {
            buckets.peers.retain(|_, bucket| {
                bucket.refill(limits, now);
                bucket.tokens < limits.burst
            });
        }
        if buckets.peers.len() < MAX_PEERS || buckets.peers.contains_key(&peer) {
            buckets.peers.entry(peer).or_insert_with(|| Bucket::full(limits, now)).take(limits, now)?;
        }
        buckets.common.take(limits.times(PEERS), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn a_peer_has_its_burst_then_its_rate_and_does_not_use_up_that_of_others() {
        let start = Instant::now();
        let limiter = RateLimiter::new(Limits { per_second: 2.0, burst: 2.0 }, start);
        assert_eq!([0; 2].map(|_| limiter.admit(ONE, start)), [Ok(()); 2]);
        assert_eq!(limiter.admit(ONE, start), Err(Duration::from_millis(500)));
        assert_eq!(limiter.admit(OTHER, start), Ok(()));
        assert_eq!(limiter.admit(ONE, start + Duration::from_millis(500)), Ok(()));
    }

    #[test]
    fn many_peers_together_are_limited_too() {
        let start = Instant::now();
        let limiter = RateLimiter::new(Limits { per_second: 1.0, burst: 1.0 }, start);
        let peers = (0..100_u8).map(|last| IpAddr::from([10, 0, 1, last]));
        assert_eq!(peers.filter(|peer| limiter.admit(*peer, start).is_ok()).count(), 8);
    }
}
