//! Bodies that a handler leaves unread.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

/// Longest rest of a body that is read after its request was answered, in bytes.
const REST: usize = 64 << 10;
/// What has been sent already comes within this time.
const REST_COMES_WITHIN: Duration = Duration::from_secs(1);

/// The body of a request, of which the connection keeps a handle: so it can be read to its end whatever the handler has read.
#[derive(Clone, Debug)]
pub(super) struct SharedBody(Arc<Mutex<Incoming>>);

impl SharedBody {
    pub(super) fn new(body: Incoming) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    /// Reads a short rest. Returns whether the body is read to its end then, so that a further request can follow.
    pub(super) async fn skip_rest(mut self) -> bool {
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
