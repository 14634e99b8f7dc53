//! Rotation policy: period, activation delay, retention, and requests for a new key.

use jiff::{SignedDuration, Timestamp};

/// Rotation policy, from flags or a `SealingKeyPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    /// No key is created by schedule; requests still work.
    pub suspended: bool,
    /// Keys are delivered externally; none is created.
    pub external: bool,
    /// Age of the newest key at which a successor is due; `None` for never.
    pub every: Option<SignedDuration>,
    /// Requested minimum times: the newest key must not have begun before any of them. Future ones are scheduled.
    pub requests: Vec<Timestamp>,
    /// Delay until a new key may become primary. It decrypts at once.
    pub activation_delay: SignedDuration,
    /// Name of the Secret of the primary key, instead of the newest one.
    pub pin: Option<String>,
    /// No key retires by policy, and none is deleted, if fewer than this would remain on the key ring.
    pub keep_at_least: usize,
    /// Time without use after which a key retires; `None` for never.
    pub retire_when_unused_for: Option<SignedDuration>,
    /// Time after retirement at which a key is deleted; `None` for never.
    pub delete_after_retired: Option<SignedDuration>,
}

impl Default for RotationPolicy {
    /// No action is automatic, except the creation of the first key.
    fn default() -> Self {
        Self {
            suspended: false,
            external: false,
            every: None,
            requests: Vec::new(),
            activation_delay: SignedDuration::ZERO,
            pin: None,
            keep_at_least: 3,
            retire_when_unused_for: None,
            delete_after_retired: None,
        }
    }
}
