use jiff::{SignedDuration, Timestamp};

/// What is asked of the keys, whoever asks: flags or a `SealingKeyPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    /// No key is made because the period is over; requests still work.
    pub suspended: bool,
    /// Keys arrive by themselves; none is ever made.
    pub external: bool,
    /// A successor is due when the newest key is this old; `None` for never.
    pub every: Option<SignedDuration>,
    /// The newest key must not have begun before any of these moments; future ones are scheduled.
    pub requests: Vec<Timestamp>,
    /// A new key decrypts at once, and leads only after this.
    pub activation_delay: SignedDuration,
    /// Name of the key Secret that leads instead of the newest.
    pub pin: Option<String>,
    /// No key retires by itself, and none is deleted, if fewer than this would be on the ring.
    pub keep_at_least: usize,
    /// A key retires when nothing has needed it for this long; `None` for never.
    pub retire_when_unused_for: Option<SignedDuration>,
    /// A retired key is deleted after this long; `None` for never.
    pub delete_after_retired: Option<SignedDuration>,
}

impl Default for RotationPolicy {
    /// Nothing happens by itself, but for the first key.
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
