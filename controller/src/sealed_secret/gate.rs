//! A moment that several tasks wait for.

use tokio::sync::watch;

/// Closed at first; once open, it stays so. Wakes all who wait (unlike the store's own readiness, which wakes one).
#[derive(Debug)]
pub(super) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(super) fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(super) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once the gate is open.
    pub(super) async fn opened(&self) {
        // An error means that the sender is gone, and it is in `self`.
        drop(self.0.subscribe().wait_for(|open| *open).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_who_wait_pass_when_it_opens_and_ever_after() {
        let gate = Gate::closed();
        let open = async { gate.open() };
        tokio::join!(gate.opened(), gate.opened(), open);
        gate.opened().await;
    }
}
