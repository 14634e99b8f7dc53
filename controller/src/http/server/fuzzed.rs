//! The body of the fuzz target `http_head`.

use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::time::Instant;

use sealed_secrets_core::opening::V1Data;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use super::super::{Desk, Interface, Limits, RateLimiter, Readiness, TrustedProxies, routes};
use super::*;
use crate::fuzzed::RING;
use crate::key_list::KeyList;
use crate::metrics::Metrics;

const NEVER: Duration = Duration::from_hours(1);
/// No input makes an honest answer take so long.
const HUNG: Duration = Duration::from_secs(20);
/// For an answer to come; a server takes a client that closes its side for one that has gone.
const QUIET: Duration = Duration::from_millis(1);
/// Less than an answer: the server must wait for its client, too.
const BUFFER: usize = 256;

static PROXIES: LazyLock<Arc<TrustedProxies>> = LazyLock::new(|| {
    let everybody = "0.0.0.0/0".parse().into_iter().collect();
    Arc::new(TrustedProxies::new(everybody))
});

/// Any bytes on a connection: it ends, and what comes back is HTTP.
///
/// # Panics
/// Where it does not.
pub fn http_head(input: &[u8]) {
    let runtime = runtime::Builder::new_current_thread().enable_time().build();
    let answer = runtime.map(|runtime| runtime.block_on(async { timeout(HUNG, exchange(input)).await }));
    assert!(
        matches!(&answer, Ok(Ok(answer)) if answer.is_empty() || answer.starts_with(b"HTTP/1.")),
        "{answer:?}"
    );
}

/// All that a client gets who sends this and leaves when nothing more comes.
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
    let patience = Patience {
        connections: 1,
        headers: NEVER,
        answer: NEVER,
        connection: NEVER,
        last_request: NEVER,
        farewell: NEVER,
    };
    let ending = Ending { begun: CancellationToken::new(), closed: CancellationToken::new() };
    let guest = Guests::at_most(1).admit().await;
    let peer = (Ipv4Addr::LOCALHOST, 1).into();
    drop(talk(stream, peer, &guest, routes(interface()), patience, &ending).await);
}

/// With a key, no limit of rates, and a keystore that has nothing newer.
fn interface() -> Interface {
    let (_, ring) = watch::channel(RING.clone());
    let (metrics, key_list) = (Arc::new(Metrics::new(false)), Arc::<KeyList>::default());
    key_list.published(Instant::now() + NEVER);
    Interface {
        desk: Desk::new(ring.clone(), key_list, V1Data::Accepted, NEVER, NEVER),
        readiness: Readiness {
            ring: ring.clone(),
            api_requests: Arc::clone(metrics.api_requests()),
            stop: CancellationToken::new(),
        },
        ring,
        limiter: RateLimiter::new(Limits { per_second: 1e9, burst: u32::MAX }, Instant::now()),
        proxies: Arc::clone(&PROXIES),
        metrics,
    }
}
