//! A client layer that limits the size of error answers: an API server says hundreds of bytes about each invalid field of an
//! object, so its answer may be many times as large as the object.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Either, Full, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Bytes};
use kube::core::Status;
use tower::{BoxError, Layer, Service};

/// Largest error answer, in bytes. Each worker may hold one, several times.
const MAX_SIZE: usize = 64 << 10;
/// The message in place of an answer that is larger.
pub(crate) const TOO_LARGE: &str = "the API server's answer is too large to be read";

/// The layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorSizeLimit;

/// A service whose error answers are small.
#[derive(Clone, Debug)]
pub(crate) struct ErrorsLimited<S>(S);

impl<S> Layer<S> for ErrorSizeLimit {
    type Service = ErrorsLimited<S>;

    fn layer(&self, inner: S) -> ErrorsLimited<S> {
        ErrorsLimited(inner)
    }
}

impl<S, A, B> Service<Request<A>> for ErrorsLimited<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Either<Full<Bytes>, B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async { cut_off(answer.await?).await })
    }
}

/// Replaces the body of an error answer that is too large by a status with the same code.
async fn cut_off<B>(answer: Response<B>) -> Result<Response<Either<Full<Bytes>, B>>, BoxError>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let code = answer.status();
    if !code.is_client_error() && !code.is_server_error() {
        return Ok(answer.map(Either::Right));
    }
    let (parts, body) = answer.into_parts();
    let bytes = match Limited::new(body, MAX_SIZE).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => too_large(code.as_u16()),
        Err(error) => return Err(error),
    };
    Ok(Response::from_parts(parts, Either::Left(Full::new(bytes))))
}

fn too_large(code: u16) -> Bytes {
    let status = Status::failure(TOO_LARGE, "").with_code(code);
    // A status can be written as JSON.
    Bytes::from(serde_json::to_vec(&status).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body_of(code: u16, length: usize) -> Bytes {
        let answer = Response::builder().status(code).body(Full::new(Bytes::from(vec![b'x'; length])));
        cut_off(answer.unwrap()).await.unwrap().into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn only_an_error_that_is_too_large_becomes_a_status_with_its_code() {
        for (code, length, is_unchanged) in [
            (200, 2 * MAX_SIZE, true),
            (422, MAX_SIZE, true),
            (422, MAX_SIZE + 1, false),
            (503, 2 * MAX_SIZE, false),
        ] {
            let body = body_of(code, length).await;
            assert_eq!(body.len() == length, is_unchanged, "{code} {length}");
            if !is_unchanged {
                let status: Status = serde_json::from_slice(&body).unwrap();
                assert_eq!((status.code, status.message.as_str()), (code, TOO_LARGE));
            }
        }
    }
}
