//! Connections: how many there are, how long they may take, and their clean end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
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
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::guests::{Guest, Guests};
use super::socket::Socket;
use super::unread::SharedBody;

/// Bytes that a connection reads ahead, so also the most that its headers may have.
const MAX_BUFFER: usize = 32 << 10;
/// After the listening socket failed, for example because there is no free file descriptor.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// At the end of the process, for clients to read what they were answered.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How many connections there may be, and how long each may take for what it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Open at the same time. For a further one the idlest goes; only if all are being answered, it waits.
    pub(crate) connections: usize,
    /// From the end of one request, or from the beginning, to the last header of the next one.
    pub(crate) headers: Duration,
    /// From when an answer cannot be written without waiting for its client until the client has read it.
    pub(crate) answer: Duration,
    /// All requests of one connection together; then the one that is being answered is the last.
    pub(crate) connection: Duration,
    /// That last one, and at the end of the process all that are being answered.
    pub(crate) last_request: Duration,
    /// At the end of the process, how long connections are still accepted: others send requests until they learn of it.
    pub(crate) farewell: Duration,
}

/// The two steps of the end.
#[derive(Clone, Debug)]
struct Ending {
    /// Each answer is the last one of its connection.
    begun: CancellationToken,
    /// No request is read any more.
    closed: CancellationToken,
}

/// Answers the requests of `listener` until `stop` and a while longer, then finishes those that are being answered.
pub(super) async fn answer(
    listener: TcpListener,
    routes: Router,
    patience: Patience,
    stop: CancellationToken,
) {
    let (guests, connections) = (Guests::at_most(patience.connections), TaskTracker::new());
    let ending = Ending { begun: stop, closed: CancellationToken::new() };
    let farewell = async {
        ending.begun.cancelled().await;
        tokio::time::sleep(patience.farewell).await;
    };
    let accepting = async {
        loop {
            let (stream, peer, guest) = accept(&listener, &guests).await;
            connections.spawn(serve(stream, peer, guest, routes.clone(), patience, ending.clone()));
        }
    };
    tokio::select! {
        () = farewell => {}
        () = accepting => {}
    }
    ending.closed.cancel();
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The next connection, with its place among those that are allowed.
async fn accept(listener: &TcpListener, guests: &Arc<Guests>) -> (TcpStream, SocketAddr, Guest) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, guests.admit().await),
            Err(error) => {
                tracing::warn!("no connection accepted: {error}");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// One connection, which has its place until it is closed. What goes wrong in it is the client's affair.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    guest: Guest,
    routes: Router,
    patience: Patience,
    ending: Ending,
) {
    let socket = Socket::new(stream, patience.answer);
    if let Some(socket) = talk(socket, peer, &guest, routes, patience, &ending).await {
        let limit = async {
            ending.closed.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            () = socket.close() => {}
            () = guest.is_to_leave() => {}
            () = limit => {}
        }
    }
}

/// A connection from its first request to its last answer. Returns its socket, unless it was closed at once.
async fn talk(
    socket: Socket,
    peer: SocketAddr,
    guest: &Guest,
    routes: Router,
    patience: Patience,
    ending: &Ending,
) -> Option<Socket> {
    let service = service_fn(move |request: Request<Incoming>| {
        guest.asks();
        let answer = answered(routes.clone(), request, peer);
        async move {
            let mut answer = answer.await;
            if ending.begun.is_cancelled() {
                is_last(&mut answer);
            }
            guest.is_answered();
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.headers)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(socket), service);
    let must_leave = tokio::select! {
        _ = &mut connection => None,
        () = guest.is_to_leave() => Some(true),
        () = tokio::time::sleep(patience.connection) => Some(false),
        () = ending.closed.cancelled() => Some(false),
    };
    let is_done = match must_leave {
        None => true,
        Some(true) => false,
        Some(false) => {
            Pin::new(&mut connection).graceful_shutdown();
            tokio::time::timeout(patience.last_request, &mut connection).await.is_ok()
        }
    };
    let socket = connection.into_parts().io.into_inner();
    if is_done {
        return Some(socket);
    }
    socket.reset();
    None
}

/// The answer to one request. Its body has been read to the end then, or the connection ends after the answer.
async fn answered(routes: Router, request: Request<Incoming>, peer: SocketAddr) -> Response {
    let (mut head, body) = request.into_parts();
    head.extensions.insert(ConnectInfo(peer));
    // RFC 9112, 6.3: a Content-Length beside it ends the connection, and hyper does not show whether there was one.
    let is_chunked = head.headers.contains_key(TRANSFER_ENCODING);
    // A rest that was not asked for does not come.
    let waits_to_be_asked = head.headers.contains_key(EXPECT);
    let body = SharedBody::new(body);
    let request = Request::from_parts(head, Body::new(body.clone()));
    let mut answer = match routes.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let is_read = hyper::body::Body::is_end_stream(&body) || (!waits_to_be_asked && body.skip_rest().await);
    if is_chunked || !is_read {
        is_last(&mut answer);
    }
    answer
}

fn is_last(answer: &mut Response) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}
