//! Waiting for a state instead of sleeping for a fixed time.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// Polls `check` until it returns `Some`.
///
/// # Errors
/// [`Error::Deadline`] naming `what` when that takes longer than `patience`.
pub async fn until<T, F>(what: &str, patience: Duration, mut check: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(answer) = check().await {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            return Err(Error::Deadline { what: what.to_owned(), seconds: patience.as_secs() });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(MAX_PAUSE);
    }
}
