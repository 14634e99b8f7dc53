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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// Connections that are open at the same time; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 512;
/// Bytes that a connection reads ahead, so also the most that its headers may have.
const MAX_BUFFER: usize = 32 << 10;
/// After the listening socket failed, for example because there is no free file descriptor.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// How long a connection may take for what it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
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
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    while let Some((stream, peer, place)) = stop.run_until_cancelled(accept(&listener, &places)).await {
        let connection = serve(stream, peer, routes.clone(), patience, stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The next connection, with its place among those that are allowed.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // Nobody closes the semaphore.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
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
    routes: Router,
    patience: Patience,
    stop: CancellationToken,
) {
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        routes.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.headers)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = &mut connection => return,
        () = tokio::time::sleep(patience.connection) => {}
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    // Dropping the connection ends what is still unfinished then.
    let _ = tokio::time::timeout(patience.last_request, connection).await;
}
