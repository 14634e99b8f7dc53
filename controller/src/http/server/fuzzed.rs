//! Body of the fuzz target `http_head`.

use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::Instant;

use sealed_secrets_core::decryption::V1Data;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use super::super::{
    HttpState, Limits, RateLimiter, Readiness, RequestHandler, Requirement, TrustedProxies, routes,
};
use super::*;
use crate::fuzzed::RING;
use crate::keystore::list::refresh::KeyRefresh;
use crate::leadership::Leadership;
use crate::metrics::Metrics;

const NEVER: Duration = Duration::from_hours(1);
/// Limit for one input; no answer takes so long.
const HUNG: Duration = Duration::from_secs(20);
/// Time for an answer to arrive. The server takes a client that closes its side for gone.
const QUIET: Duration = Duration::from_millis(1);
/// Size of the connection's buffer in bytes. It is smaller than an answer, so that the server waits for its client, too.
const BUFFER: usize = 256;

static PROXIES: LazyLock<Arc<TrustedProxies>> = LazyLock::new(|| {
    let everybody = "0.0.0.0/0".parse().into_iter().collect();
    Arc::new(TrustedProxies::new(everybody))
});

/// Serves a connection on which these bytes arrive. It ends, and its answer is HTTP or empty.
///
/// # Panics
/// If it does not end, or the answer is not HTTP.
pub fn http_head(input: &[u8]) {
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    let answer = runtime.map(|runtime| runtime.block_on(async { timeout(HUNG, exchange(input)).await }));
    assert!(
        matches!(&answer, Ok(Ok(answer)) if answer.is_empty() || answer.starts_with(b"HTTP/1.")),
        "{answer:?}"
    );
}

/// Returns all that is sent to a client that sends this input and leaves when nothing more arrives.
async fn exchange(input: &[u8]) -> Vec<u8> {
    let (client, stream) = tokio::io::duplex(BUFFER);
    let (mut receiving, mut sending) = tokio::io::split(client);
    let mut answer = Vec::new();
    let send = async {
        // A server may close before it has read everything.
        let _ = sending.write_all(input).await;
        tokio::time::sleep(QUIET).await;
        let _ = sending.shutdown().await;
        pending::<()>().await;
    };
    let receive = async { tokio::join!(receiving.read_to_end(&mut answer), serve_one(stream)) };
    tokio::select! {
        () = send => {}
        _ = receive => {}
    }
    answer
}

async fn serve_one(stream: DuplexStream) {
    let timeouts = ConnectionTimeouts {
        connections: 1,
        headers: NEVER,
        answer: NEVER,
        connection: NEVER,
        request_grace: NEVER,
        shutdown: ShutdownTimeouts { drain: NEVER, receive: NEVER, answer: NEVER },
    };
    let ending = Ending { begun: CancellationToken::new(), closed: CancellationToken::new() };
    let connection = ConnectionLimiter::at_most(1).admit().await;
    let peer = (Ipv4Addr::LOCALHOST, 1).into();
    drop(serve_requests(stream, peer, &connection, routes(http_state()), timeouts, &ending).await);
}

/// Dependencies with a key, without a rate limit, and with a keystore that has nothing newer.
fn http_state() -> HttpState {
    let (_, ring) = watch::channel(RING.clone());
    let metrics = Arc::new(Metrics::new(false, &Leadership::unelected()));
    let key_refresh = Arc::<KeyRefresh>::default();
    key_refresh.published(Instant::now() + NEVER);
    HttpState {
        request_handler: RequestHandler::new(ring.clone(), key_refresh, V1Data::Accepted, NEVER, NEVER),
        readiness: Readiness {
            ring: ring.clone(),
            requirement: Requirement::SealedSecrets(Arc::clone(metrics.api_requests())),
            stop: CancellationToken::new(),
        },
        ring,
        limiter: RateLimiter::new(Limits { per_second: 1e9, burst: u32::MAX }, Instant::now()),
        proxies: Arc::clone(&PROXIES),
        metrics,
    }
}
