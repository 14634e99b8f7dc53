//! Request bodies that a handler does not read to the end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use parking_lot::{Mutex, MutexGuard};

/// Longest rest of a body, in bytes, that is read after its request was answered.
const REST: usize = 64 << 10;
/// Timeout for reading the rest, which has usually been sent already.
const REST_COMES_WITHIN: Duration = Duration::from_secs(1);

/// A request body that the connection keeps a handle of, so that it can read the body to its end, whatever the handler
/// has read.
#[derive(Clone, Debug)]
pub(crate) struct SharedBody(Arc<Mutex<Incoming>>);

impl SharedBody {
    pub(crate) fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    /// Reads a short rest. Returns true if the body was read to its end, so that a further request can follow.
    pub(crate) async fn skip_rest(mut self) -> bool {
        let reading = async {
            let mut skipped = 0;
            while let Some(frame) = self.frame().await {
                let Ok(frame) = frame else { return false };
                skipped += frame.into_data().map_or(0, |data| data.len());
                if skipped > REST {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(REST_COMES_WITHIN, reading).await.unwrap_or(false)
    }

    fn lock(&self) -> MutexGuard<'_, Incoming> {
        self.0.lock()
    }
}

impl Body for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut *self.lock()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}
