//! Token bucket. The time is an argument.

use std::time::{Duration, Instant};

/// The rate at which the tokens of a bucket return, and their maximum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) size: f64,
}

impl Rate {
    /// Returns a rate and a size that are so many times as large.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self { per_second: self.per_second * factor, size: self.size * factor }
    }
}

/// The tokens that are left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenBucket {
    /// Negative after a charge that exceeded them.
    pub(crate) tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    pub(crate) fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.size, filled: now }
    }

    /// Returns the bucket with the tokens that have returned until now.
    pub(crate) fn refilled(self, rate: Rate, now: Instant) -> Self {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * rate.per_second;
        Self { tokens: (self.tokens + gained).min(rate.size), filled: now }
    }

    /// Takes the cost, or returns the time until it is there.
    pub(crate) fn take(&mut self, cost: f64, rate: Rate, now: Instant) -> Option<Duration> {
        *self = self.refilled(rate, now);
        if self.tokens < cost {
            return Some(Duration::from_secs_f64((cost - self.tokens) / rate.per_second));
        }
        self.tokens -= cost;
        None
    }

    /// Takes the cost, even if it is not there.
    pub(crate) fn charge(&mut self, cost: f64, rate: Rate, now: Instant) {
        *self = self.refilled(rate, now);
        self.tokens -= cost;
    }
}
