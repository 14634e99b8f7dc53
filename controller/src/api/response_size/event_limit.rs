//! A client layer that bounds the memory of watch events, whatever the number of watches and the size of objects.
//!
//! A watch collects each event, a line of its response, in a buffer that never shrinks. So few watches have read a large event, and
//! the last of these ends after its event, for others that may wait: it is resumed at once, with a new buffer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body_util::Either;
use hyper::body::{Body as HttpBody, Bytes, Frame};
use kube::client::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;
use tower::{BoxError, Layer, Service, ServiceExt as _};

/// Largest event in bytes that any number of watches may read at the same time.
const SMALL_EVENT: usize = 64 << 10;
/// Watches that have read a larger event, or read one. Each takes up to 8 MiB. Where all namespaces share a watch of SealedSecrets and
/// one of Secrets, neither ends early.
const AT_ONCE: usize = 3;

/// The layer.
#[derive(Clone, Debug)]
pub(crate) struct EventLimit(Arc<Semaphore>);

/// A service of whose watches few read large events.
#[derive(Clone, Debug)]
pub(crate) struct EventsLimited<S> {
    inner: S,
    limit: EventLimit,
}

impl Default for EventLimit {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl<S> Layer<S> for EventLimit {
    type Service = EventsLimited<S>;

    fn layer(&self, inner: S) -> EventsLimited<S> {
        EventsLimited { inner, limit: self.clone() }
    }
}

impl<S, B> Service<Request<Body>> for EventsLimited<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
{
    type Response = Response<Either<WatchBody<B>, B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (inner, EventLimit(reading)) = (self.inner.clone(), self.limit.clone());
        let is_watch = is_watch(request.uri());
        Box::pin(async move {
            let answer = inner.oneshot(request).await?;
            Ok(answer.map(|body| {
                if is_watch { Either::Left(WatchBody::new(body, reading)) } else { Either::Right(body) }
            }))
        })
    }
}

fn is_watch(uri: &Uri) -> bool {
    uri.query().unwrap_or_default().split('&').any(|pair| pair == "watch=true")
}

/// The response of a watch.
#[derive(Debug)]
pub(crate) struct WatchBody<B> {
    body: Pin<Box<B>>,
    /// Bytes of the event that is being read.
    event: usize,
    reading: PollSemaphore,
    /// The permit for large events, until the response is dropped.
    large: Option<OwnedSemaphorePermit>,
    is_over: bool,
}

impl<B> WatchBody<B> {
    fn new(body: B, reading: Arc<Semaphore>) -> Self {
        let reading = PollSemaphore::new(reading);
        Self { body: Box::pin(body), event: 0, reading, large: None, is_over: false }
    }

    /// Notes what was read, and returns what is passed on: at the end, complete events only.
    fn note(&mut self, data: Bytes) -> Bytes {
        let is_end = |byte: &u8| *byte == b'\n';
        let Some(last) = data.iter().rposition(is_end) else {
            self.event += data.len();
            return data;
        };
        let first = data.iter().position(is_end).unwrap_or(last);
        if self.event + first > SMALL_EVENT {
            // A short one may have come in one piece.
            self.large = self.large.take().or_else(|| self.reading.clone_inner().try_acquire_owned().ok());
            self.is_over = self.large.is_none() || self.reading.available_permits() == 0;
        }
        self.event = data.len() - last - 1;
        if self.is_over { data.slice(..=last) } else { data }
    }
}

impl<B: HttpBody<Data = Bytes>> HttpBody for WatchBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if self.event > SMALL_EVENT && self.large.is_none() {
            self.large = ready!(self.reading.poll_acquire(context));
        }
        let frame = ready!(self.body.as_mut().poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|data| self.note(data)))))
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, StreamExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    const HALF: usize = SMALL_EVENT / 2 + 1;

    /// Returns the response of a watch that is sent in these pieces and then continues.
    async fn watch(limit: &EventLimit, pieces: &[&str]) -> impl HttpBody<Data = Bytes> + Unpin + use<> {
        let pieces: Vec<String> = pieces.iter().map(|&piece| piece.to_owned()).collect();
        let server = tower::service_fn(move |_: Request<Body>| {
            let frames = pieces.clone().into_iter().map(|piece| Ok::<_, BoxError>(Frame::data(piece.into())));
            let body = StreamBody::new(stream::iter(frames).chain(stream::pending()));
            std::future::ready(Ok::<_, BoxError>(Response::new(body)))
        });
        let request = Request::get("/api/v1/secrets?&watch=true&timeoutSeconds=15").body(Body::empty());
        limit.layer(server).oneshot(request.unwrap()).await.unwrap().into_body()
    }

    /// The text that a watch passes on at once, and true if it has ended then.
    fn passed(body: &mut (impl HttpBody<Data = Bytes> + Unpin)) -> (String, bool) {
        let mut all = String::new();
        loop {
            match body.frame().now_or_never() {
                None => return (all, false),
                Some(None) => return (all, true),
                Some(Some(frame)) => {
                    let data = frame.ok().and_then(|frame| frame.into_data().ok()).unwrap();
                    all.push_str(str::from_utf8(&data).unwrap());
                }
            }
        }
    }

    #[tokio::test]
    async fn few_watches_read_large_events_and_the_last_of_them_ends_after_its_own() {
        let (limit, half) = (EventLimit::default(), "x".repeat(HALF));
        let large = format!("{half}{half}\n");
        let mut first = Vec::new();
        for _ in 1..AT_ONCE {
            first.push(watch(&limit, &[&large, &half, &half, "\n", "begun"]).await);
        }
        for body in &mut first {
            assert_eq!(passed(body), (large.repeat(2) + "begun", false));
        }
        let mut last = watch(&limit, &[&half, &half, "\nsmall\nbegun"]).await;
        assert_eq!(passed(&mut last), (large.clone() + "small\n", true));
        let mut waiting = watch(&limit, &["small\n", &half, &half, "\n"]).await;
        assert_eq!(passed(&mut waiting), (format!("small\n{half}{half}"), false));
        drop(last);
        assert_eq!(passed(&mut waiting), ("\n".to_owned(), true));
    }

    #[tokio::test]
    async fn a_watch_of_many_small_events_goes_on() {
        let (limit, small) = (EventLimit::default(), "x".repeat(HALF) + "\n");
        let mut body = watch(&limit, &[&small, &small, "x", &small, "begun"]).await;
        assert_eq!(passed(&mut body), (format!("{small}{small}x{small}begun"), false));
        assert_eq!(limit.0.available_permits(), AT_ONCE);
    }
}
