//! Request bodies that a handler does not read to the end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use parking_lot::Mutex;

/// Longest rest of a body, in bytes, that is read after its request was answered.
const REST: usize = 64 << 10;
/// Timeout for reading the rest, which has usually been sent already.
const REST_COMES_WITHIN: Duration = Duration::from_secs(1);

/// Tells if the last request of a connection has been received to its end. A connection begins without a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receipt(Arc<AtomicBool>);

impl Receipt {
    pub(crate) fn is_complete(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, is_complete: bool) {
        self.0.store(is_complete, Ordering::Relaxed);
    }
}

/// A request body that the connection keeps a handle of, so that it can read the body to its end, whatever the handler
/// has read.
#[derive(Clone, Debug)]
pub(crate) struct SharedBody {
    incoming: Arc<Mutex<Incoming>>,
    receipt: Receipt,
}

impl SharedBody {
    /// Wraps the body of a request, whose end it notes on the receipt.
    pub(crate) fn new(body: Incoming, receipt: Receipt) -> Self {
        receipt.set(body.is_end_stream());
        Self { incoming: Arc::new(Mutex::new(body)), receipt }
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
}

impl Body for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut incoming = self.incoming.lock();
        let frame = ready!(Pin::new(&mut *incoming).poll_frame(context));
        self.receipt.set(frame.is_none() || incoming.is_end_stream());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.lock().size_hint()
    }
}
