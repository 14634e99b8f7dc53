//! What verify and rotate have in common: limits, reading the body, and one answer for everything that does not open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::manifest::{documents, sealed_secrets_of};
use sealed_secrets_core::unseal::V1Data;
use sealed_secrets_crds::SealedSecret;
use tokio::sync::Semaphore;

use super::rate::RateLimiter;
use crate::context::RingReceiver;

/// Longest body in bytes.
const MAX_BODY: usize = 2 << 20;
/// Requests whose body is read or waits for its turn.
const MAX_IN_FLIGHT: usize = 64;

/// Where requests with a SealedSecret are handled.
pub(crate) struct Desk {
    pub(super) v1_data: V1Data,
    ring: RingReceiver,
    limiter: RateLimiter,
    read_timeout: Duration,
    write_timeout: Duration,
    in_flight: Semaphore,
    /// One at a time: reconciling has the other processors.
    turn: Semaphore,
}

/// Why there is nothing to answer: fixed texts, which say nothing about keys or content.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    TooMany(Duration),
    Body,
    NotOneSealedSecret,
    NoKey,
    TooSlow,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::TooMany(wait) => {
                let seconds = wait.as_secs_f64().ceil().max(1.0).to_string();
                (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds)], "limit exceeded\n").into_response()
            }
            Self::Body => (
                StatusCode::BAD_REQUEST,
                "the body cannot be read: at most 2 MiB, without Content-Encoding, in time\n",
            )
                .into_response(),
            Self::NotOneSealedSecret => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the body must be exactly one SealedSecret as JSON or YAML\n",
            )
                .into_response(),
            Self::NoKey => {
                (StatusCode::INTERNAL_SERVER_ERROR, "there is no sealing key yet\n").into_response()
            }
            Self::TooSlow => (StatusCode::SERVICE_UNAVAILABLE, "this took too long\n").into_response(),
        }
    }
}

impl Desk {
    pub(crate) fn new(
        ring: RingReceiver,
        v1_data: V1Data,
        limiter: RateLimiter,
        read_timeout: Duration,
        write_timeout: Duration,
    ) -> Self {
        let (in_flight, turn) = (Semaphore::new(MAX_IN_FLIGHT), Semaphore::new(1));
        Self { v1_data, ring, limiter, read_timeout, write_timeout, in_flight, turn }
    }

    /// Reads the text of a request and does `work` with it and the latest ring on a thread that may block.
    pub(super) async fn handle<T: Send + 'static>(
        &self,
        peer: SocketAddr,
        request: Request,
        work: impl FnOnce(&str, Arc<KeyRing>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.limiter.admit(peer.ip(), Instant::now()).map_err(Refusal::TooMany)?;
        let _place = self.in_flight.try_acquire().map_err(|_| Refusal::TooMany(Duration::from_secs(1)))?;
        let text = self.read(request).await?;
        let ring = self.ring.borrow().clone().ok_or(Refusal::NoKey)?;
        let working = async {
            let _turn = self.turn.acquire().await.map_err(|_| Refusal::TooSlow)?;
            let done = tokio::task::spawn_blocking(move || work(&text, ring)).await;
            done.map_err(|_| Refusal::NotOneSealedSecret)?
        };
        tokio::time::timeout(self.write_timeout, working).await.map_err(|_| Refusal::TooSlow)?
    }

    async fn read(&self, request: Request) -> Result<String, Refusal> {
        if !is_identity(request.headers()) {
            return Err(Refusal::Body);
        }
        let body: Body = request.into_body();
        let read = tokio::time::timeout(self.read_timeout, axum::body::to_bytes(body, MAX_BODY)).await;
        let bytes = read.map_err(|_| Refusal::Body)?.map_err(|_| Refusal::Body)?;
        String::from_utf8(bytes.into()).map_err(|_| Refusal::NotOneSealedSecret)
    }
}

fn is_identity(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The one SealedSecret in this text.
pub(super) fn sealed_secret(text: &str) -> Result<SealedSecret, Refusal> {
    let all = documents(text).ok().and_then(|documents| sealed_secrets_of(&documents).ok());
    let [sealed] =
        <[SealedSecret; 1]>::try_from(all.unwrap_or_default()).map_err(|_| Refusal::NotOneSealedSecret)?;
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::super::rate::Limits;
    use super::*;

    async fn read(body: &str, encoding: &str) -> Result<String, Refusal> {
        let limits = Limits { per_second: 1.0, burst: 1.0 };
        let limiter = RateLimiter::new(limits, Instant::now());
        let ring = watch::Sender::new(None).subscribe();
        let patience = Duration::from_mins(1);
        let desk = Desk::new(ring, V1Data::Accepted, limiter, patience, patience);
        let request = Request::builder().header(CONTENT_ENCODING, encoding);
        desk.read(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    #[tokio::test]
    async fn a_body_has_at_most_two_mebibytes_and_is_not_compressed() {
        let longest = "x".repeat(MAX_BODY);
        assert_eq!(read(&longest, "identity").await.unwrap(), longest);
        assert!(matches!(read(&format!("{longest}x"), "identity").await, Err(Refusal::Body)));
        assert!(matches!(read("x", "gzip").await, Err(Refusal::Body)));
    }
}
