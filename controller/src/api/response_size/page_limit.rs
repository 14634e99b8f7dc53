//! A client layer that keeps each page of a list small, whatever its objects contain.
//!
//! The size of a page is known only while it is read. A page that is too large is aborted and requested again with
//! fewer objects; after small pages the number grows again, so that lists of small objects take few requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Either, Full, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Bytes};
use kube::client::Body;
use tokio::sync::Semaphore;
use tower::{BoxError, Layer, Service, ServiceExt as _};

/// Largest page with several objects, in bytes. While a page is read, memory holds it twice.
const MAX_PAGE: usize = 4 << 20;
/// After a page with fewer bytes than this, the number of objects is doubled.
const SMALL_PAGE: usize = MAX_PAGE / 4;
/// After a page that was too large, the number of objects is divided by this.
const PART: u32 = 8;
/// Pages that are read at the same time, of all lists together.
const AT_ONCE: usize = 2;

const LIMIT: &str = "limit=";

/// The number of objects of the next page, and the semaphore of pages that are being read.
#[derive(Clone, Debug)]
pub(crate) struct PageLimit(Arc<State>);

#[derive(Debug)]
struct State {
    objects: AtomicU32,
    reading: Semaphore,
}

/// A service that requests pages of a suitable size.
#[derive(Clone, Debug)]
pub(crate) struct Paged<S> {
    inner: S,
    limit: PageLimit,
}

impl PageLimit {
    /// Creates a limit that starts with this number of objects.
    pub(crate) fn beginning_with(objects: u32) -> Self {
        Self(Arc::new(State { objects: AtomicU32::new(objects), reading: Semaphore::new(AT_ONCE) }))
    }

    fn objects(&self, asked: u32) -> u32 {
        self.0.objects.load(Ordering::Relaxed).clamp(1, asked.max(1))
    }

    fn shrink_after(&self, objects: u32) {
        self.0.objects.store((objects / PART).max(1), Ordering::Relaxed);
    }

    fn grow_after(&self, objects: u32, bytes: usize) {
        if bytes < SMALL_PAGE {
            self.0.objects.fetch_max(objects.saturating_mul(2), Ordering::Relaxed);
        }
    }
}

impl<S> Layer<S> for PageLimit {
    type Service = Paged<S>;

    fn layer(&self, inner: S) -> Paged<S> {
        Paged { inner, limit: self.clone() }
    }
}

type AnyBody<B> = Either<Full<Bytes>, B>;

impl<S, B> Service<Request<Body>> for Paged<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AnyBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (inner, limit) = (self.inner.clone(), self.limit.clone());
        match objects_asked_for(request.uri()) {
            Some(asked) => Box::pin(read_page(inner, limit, request, asked)),
            None => Box::pin(async { Ok(inner.oneshot(request).await?.map(Either::Right)) }),
        }
    }
}

async fn read_page<S, B>(
    inner: S,
    limit: PageLimit,
    request: Request<Body>,
    asked: u32,
) -> Result<Response<AnyBody<B>>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone,
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let _turn = limit.0.reading.acquire().await?;
    loop {
        let objects = limit.objects(asked);
        let (parts, body) = inner.clone().oneshot(with_limit(&request, objects)?).await?.into_parts();
        let most = if objects == 1 { usize::MAX } else { MAX_PAGE };
        match Limited::new(body, most).collect().await {
            Ok(page) => {
                let page = page.to_bytes();
                limit.grow_after(objects, page.len());
                return Ok(Response::from_parts(parts, Either::Left(Full::new(page))));
            }
            Err(error) if error.is::<LengthLimitError>() => limit.shrink_after(objects),
            Err(error) => return Err(error),
        }
    }
}

/// Returns the number of objects that a request asks for, if it lists a page.
fn objects_asked_for(uri: &Uri) -> Option<u32> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix(LIMIT))?.parse().ok()
}

/// Returns the same request, which has no body, for this number of objects.
fn with_limit(request: &Request<Body>, objects: u32) -> Result<Request<Body>, BoxError> {
    let uri = request.uri();
    let pairs = uri.query().unwrap_or_default().split('&');
    let pairs =
        pairs.map(|pair| if pair.starts_with(LIMIT) { format!("{LIMIT}{objects}") } else { pair.to_owned() });
    let query = pairs.collect::<Vec<_>>().join("&");
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{}?{query}", uri.path()))?);
    let mut again = Request::new(Body::empty());
    *again.method_mut() = request.method().clone();
    *again.headers_mut() = request.headers().clone();
    *again.uri_mut() = Uri::from_parts(parts)?;
    Ok(again)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Answers pages whose objects have `bytes` bytes each, and records the numbers of objects that were requested.
    async fn ask(limit: &PageLimit, bytes: usize, uri: &str) -> (Vec<u32>, usize) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = {
            let asked = Arc::clone(&asked);
            tower::service_fn(move |request: Request<Body>| {
                let objects = objects_asked_for(request.uri()).unwrap_or(1);
                asked.lock().unwrap().push(objects);
                let page = vec![b' '; bytes * usize::try_from(objects).unwrap()];
                async move { Ok::<_, BoxError>(Response::new(Full::new(Bytes::from(page)))) }
            })
        };
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let answer = limit.layer(server).oneshot(request).await.unwrap();
        let length = answer.into_body().collect().await.unwrap().to_bytes().len();
        let asked = asked.lock().unwrap().clone();
        (asked, length)
    }

    const LIST: &str = "/apis/bitnami.com/v1alpha1/sealedsecrets?&limit=100&continue=a%3D";

    #[tokio::test]
    async fn a_page_of_small_objects_is_asked_for_once() {
        let limit = PageLimit::beginning_with(100);
        assert_eq!(ask(&limit, 1_000, LIST).await, (vec![100], 100_000));
        assert_eq!(ask(&limit, 1_000, LIST).await, (vec![100], 100_000));
    }

    #[tokio::test]
    async fn a_page_that_is_too_large_is_asked_for_again_with_fewer_objects_and_the_next_ones_too() {
        let limit = PageLimit::beginning_with(100);
        let large = 1_300_000;
        assert_eq!(ask(&limit, large, LIST).await, (vec![100, 12, 1], large));
        assert_eq!(ask(&limit, large, LIST).await, (vec![1], large));
        assert_eq!(ask(&limit, 1_000, LIST).await, (vec![1], 1_000));
        let asked = ask(&limit, 1_000, LIST).await.0;
        assert_eq!(asked, [2], "small pages grow again");
    }

    #[tokio::test]
    async fn one_object_is_read_however_large_it_is() {
        let limit = PageLimit::beginning_with(100);
        assert_eq!(ask(&limit, 2 * MAX_PAGE, LIST).await.1, 2 * MAX_PAGE);
    }

    #[tokio::test]
    async fn a_response_that_is_not_a_page_of_a_list_passes() {
        let limit = PageLimit::beginning_with(100);
        let watch = "/api/v1/secrets?&watch=true&timeoutSeconds=15";
        assert_eq!(ask(&limit, 2 * MAX_PAGE, watch).await, (vec![1], 2 * MAX_PAGE));
    }

    #[test]
    fn the_rest_of_a_request_stays() {
        let mut request = Request::get(format!("http://host{LIST}")).body(Body::empty()).unwrap();
        request.headers_mut().insert("accept", http::HeaderValue::from_static("x"));
        let again = with_limit(&request, 7).unwrap();
        let expected = format!("http://host{}", LIST.replace("limit=100", "limit=7"));
        assert_eq!(again.uri().to_string(), expected);
        assert_eq!((again.method(), &again.headers()["accept"]), (&http::Method::GET, &"x".parse().unwrap()));
    }
}
