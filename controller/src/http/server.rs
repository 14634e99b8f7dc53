//! Connections: how many there are, how long they may take, and their clean end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::guests::{Guest, Guests};

/// Bytes that a connection reads ahead, so also the most that its headers may have.
const MAX_BUFFER: usize = 32 << 10;
/// After the listening socket failed, for example because there is no free file descriptor.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// How many connections there may be, and how long each may take for what it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Open at the same time. For a further one the idlest goes; only if all are being answered, it waits.
    pub(crate) connections: usize,
    /// From the end of one request, or from the beginning, to the last header of the next one.
    pub(crate) headers: Duration,
    /// All requests of one connection together; then the one that is being answered is the last.
    pub(crate) connection: Duration,
    /// That last one, and at the end of the process all that are being answered.
    pub(crate) last_request: Duration,
}

/// Answers the requests of `listener` until `stop`, then finishes those that are being answered.
pub(super) async fn answer(
    listener: TcpListener,
    routes: Router,
    patience: Patience,
    stop: CancellationToken,
) {
    let (guests, connections) = (Guests::at_most(patience.connections), TaskTracker::new());
    while let Some((stream, peer, guest)) = stop.run_until_cancelled(accept(&listener, &guests)).await {
        connections.spawn(serve(stream, peer, guest, routes.clone(), patience, stop.clone()));
    }
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

/// One connection from its first request to its last. What goes wrong in it is the client's affair.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    guest: Guest,
    routes: Router,
    patience: Patience,
    stop: CancellationToken,
) {
    let guest = &guest;
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = routes.clone().oneshot(request.map(Body::new));
        guest.asks();
        async move {
            let answer = answer.await;
            guest.is_answered();
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.headers)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = &mut connection => return,
        () = guest.is_to_leave() => return,
        () = tokio::time::sleep(patience.connection) => {}
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    // Dropping the connection ends what is still unfinished then.
    let _ = tokio::time::timeout(patience.last_request, connection).await;
}
