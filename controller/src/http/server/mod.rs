//! Serves connections: their limit, their timeouts, and their graceful shutdown.

pub(crate) mod connection_limiter;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzed;
pub(crate) mod listen;
pub(crate) mod socket;
pub(crate) mod unread_body;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, EXPECT, TRANSFER_ENCODING};
use axum::http::{HeaderValue, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::server::connection_limiter::{Connection, ConnectionLimiter};
use super::server::socket::Socket;
use super::server::unread_body::{Receipt, SharedBody};

/// Size of the read buffer in bytes, which is also the limit of the headers.
const MAX_BUFFER: usize = 32 << 10;
/// Wait after a failed accept, for example for lack of a free file descriptor.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Time for clients to read their answers at the end of the process.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Limits on connections, and their timeouts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionTimeouts {
    /// Limit of open connections. A further one replaces the one that has been idle the longest; if all are busy, it
    /// waits.
    pub(crate) connections: usize,
    /// Header read timeout, from accept or the previous response.
    pub(crate) headers: Duration,
    /// Timeout for a client to read an answer, from the moment at which a write would block.
    pub(crate) answer: Duration,
    /// Lifetime of a connection; then the request that is being answered is its last.
    pub(crate) connection: Duration,
    /// Timeout of that last request.
    pub(crate) request_grace: Duration,
    pub(crate) shutdown: ShutdownTimeouts,
}

/// Timeouts at the end of the process, from the first signal on. Together they bound its end, whatever clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShutdownTimeouts {
    /// Time during which connections are still accepted, until others notice that the process is ending.
    pub(crate) drain: Duration,
    /// Further time for the rest of a request: a client may send it as slowly as it likes.
    pub(crate) receive: Duration,
    /// Time after `drain` for answers to requests that have been received completely.
    pub(crate) answer: Duration,
}

/// The two phases of a graceful shutdown.
#[derive(Clone, Debug)]
struct Ending {
    /// First phase: each answer closes its connection.
    begun: CancellationToken,
    /// Second phase: no further request is read.
    closed: CancellationToken,
}

/// Answers the requests of `listener` until `stop` and a while longer, then completes the requests in flight.
pub(super) async fn answer(
    listener: TcpListener,
    routes: Router,
    timeouts: ConnectionTimeouts,
    stop: CancellationToken,
) {
    let (limiter, connections) = (ConnectionLimiter::at_most(timeouts.connections), TaskTracker::new());
    let ending = Ending { begun: stop, closed: CancellationToken::new() };
    let drain = async {
        ending.begun.cancelled().await;
        tokio::time::sleep(timeouts.shutdown.drain).await;
    };
    let accepting = async {
        loop {
            let (stream, peer, connection) = accept(&listener, &limiter).await;
            connections.spawn(serve(stream, peer, connection, routes.clone(), timeouts, ending.clone()));
        }
    };
    tokio::select! {
        () = drain => {}
        () = accepting => {}
    }
    ending.closed.cancel();
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Accepts the next connection, within the limit.
async fn accept(
    listener: &TcpListener,
    limiter: &Arc<ConnectionLimiter>,
) -> (TcpStream, SocketAddr, Connection) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, limiter.admit().await),
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// Serves one connection, which keeps its place until it is closed. Its errors concern only the client.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    connection: Connection,
    routes: Router,
    timeouts: ConnectionTimeouts,
    ending: Ending,
) {
    let socket = Socket::new(stream, timeouts.answer);
    let socket = match serve_requests(socket, peer, &connection, routes, timeouts, &ending).await {
        Ok(socket) => socket,
        Err(socket) => return socket.reset(),
    };
    let limit = async {
        ending.closed.cancelled().await;
        tokio::time::sleep(CLOSE_TIMEOUT).await;
    };
    tokio::select! {
        () = socket.close() => {}
        () = connection.evicted() => {}
        () = limit => {}
    }
}

/// Serves a connection from its first request to its last answer. Returns its stream.
///
/// # Errors
/// The stream of a connection that is to be reset.
async fn serve_requests<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: SocketAddr,
    connection: &Connection,
    routes: Router,
    timeouts: ConnectionTimeouts,
    ending: &Ending,
) -> Result<S, S> {
    let receipt = Receipt::default();
    let received = receipt.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        connection.begin_request();
        let answer = answered(routes.clone(), request, peer, received.clone());
        async move {
            let mut answer = answer.await;
            if ending.begun.is_cancelled() {
                close_after(&mut answer);
            }
            connection.end_request();
            Ok::<_, Infallible>(answer)
        }
    });
    let mut exchange = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.headers)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut last_request = pin!(ending.last_request(timeouts.connection));
    let mut overdue = pin!(ending.overdue(timeouts, &receipt));
    let mut is_last = false;
    let is_done = loop {
        tokio::select! {
            // What has arrived is read before its sender counts as late.
            biased;
            _ = &mut exchange => break true,
            () = connection.evicted() => break false,
            () = &mut overdue => break false,
            () = &mut last_request, if !is_last => {
                is_last = true;
                std::pin::Pin::new(&mut exchange).graceful_shutdown();
            }
        }
    };
    let stream = exchange.into_parts().io.into_inner();
    if is_done { Ok(stream) } else { Err(stream) }
}

impl Ending {
    /// Completes when the request that is being answered is the last of its connection: after this lifetime, or at the end of the
    /// process.
    async fn last_request(&self, lifetime: Duration) {
        tokio::select! {
            () = tokio::time::sleep(lifetime) => {}
            () = self.closed.cancelled() => {}
        }
    }

    /// Completes when the time limit of that request is over. At the end of the process the limit depends on the receipt of the
    /// request.
    async fn overdue(&self, timeouts: ConnectionTimeouts, receipt: &Receipt) {
        let ShutdownTimeouts { receive, answer, .. } = timeouts.shutdown;
        let shutdown = async {
            self.closed.cancelled().await;
            tokio::time::sleep(receive).await;
            if receipt.is_complete() {
                tokio::time::sleep(answer.saturating_sub(receive)).await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(timeouts.connection.saturating_add(timeouts.request_grace)) => {}
            () = shutdown => {}
        }
    }
}

/// Answers one request. Afterwards its body has been read to the end, or the connection is closed after the answer.
async fn answered(
    routes: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    receipt: Receipt,
) -> Response {
    let (mut head, body) = request.into_parts();
    head.extensions.insert(ConnectInfo(peer));
    // RFC 9112, 6.3: a Content-Length next to it closes the connection, and hyper does not expose whether there was
    // one.
    let is_chunked = head.headers.contains_key(TRANSFER_ENCODING);
    // A client that waits for `100 Continue` sends no rest of the body without it.
    let expects_continue = head.headers.contains_key(EXPECT);
    let body = SharedBody::new(body, receipt);
    let request = Request::from_parts(head, Body::new(body.clone()));
    let mut answer = match routes.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let is_read = hyper::body::Body::is_end_stream(&body) || (!expects_continue && body.skip_rest().await);
    if is_chunked || !is_read {
        close_after(&mut answer);
    }
    answer
}

fn close_after(answer: &mut Response) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}
