//! What verify and rotate have in common: limits, reading the body, and one answer for everything that does not open.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::manifest::{Document, only_document, read_sealed_secret};
use sealed_secrets_core::rewrap::Wanted;
use sealed_secrets_core::unseal::V1Data;
use sealed_secrets_crds::SealedSecret;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::limited::too_many;
use crate::context::RingReceiver;

/// Longest body in bytes.
const MAX_BODY: usize = 2 << 20;
/// Requests whose body is read or waits for its turn.
const MAX_IN_FLIGHT: usize = 64;
/// Bytes that have come of all their bodies together.
const MAX_BODIES: usize = 16 << 20;

/// Where requests with a SealedSecret are handled.
pub(crate) struct Desk {
    pub(super) v1_data: V1Data,
    ring: RingReceiver,
    read_timeout: Duration,
    write_timeout: Duration,
    in_flight: Semaphore,
    bodies: Semaphore,
    /// One at a time: reconciling has the other processors.
    turn: Arc<Semaphore>,
}

/// Why there is nothing to answer: fixed texts, which say nothing about keys or content.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    TooManyInFlight,
    Body,
    NotOneSealedSecret,
    NoKey,
    TooSlow,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::TooManyInFlight => too_many(Duration::from_secs(1)),
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
        read_timeout: Duration,
        write_timeout: Duration,
    ) -> Self {
        let (in_flight, bodies) = (Semaphore::new(MAX_IN_FLIGHT), Semaphore::new(MAX_BODIES));
        Self {
            v1_data,
            ring,
            read_timeout,
            write_timeout,
            in_flight,
            bodies,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Reads the text of a request and does `work` with it and the latest ring on a thread that may block. The work is told
    /// when nobody waits for its answer any more: the time is over, or the client has gone.
    pub(super) async fn handle<T: Send + 'static>(
        &self,
        request: Request,
        work: impl FnOnce(&str, &KeyRing, Wanted<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let _place = self.in_flight.try_acquire().map_err(|_| Refusal::TooManyInFlight)?;
        let (text, _room) = self.read(request).await?;
        let ring = self.ring.borrow().clone().ok_or(Refusal::NoKey)?;
        let abandoned = CancellationToken::new();
        let _abandon_when_dropped = abandoned.clone().drop_guard();
        let working = async {
            let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| Refusal::TooSlow)?;
            let work = move || {
                let done = work(&text, &ring, &|| !abandoned.is_cancelled());
                drop(turn);
                done
            };
            tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::NotOneSealedSecret)?
        };
        tokio::time::timeout(self.write_timeout, working).await.map_err(|_| Refusal::TooSlow)?
    }

    /// The text of the body, and its room among all that are held.
    async fn read(&self, request: Request) -> Result<(String, Option<SemaphorePermit<'_>>), Refusal> {
        if !is_identity(request.headers()) {
            return Err(Refusal::Body);
        }
        let reading = tokio::time::timeout(self.read_timeout, self.collect(request.into_body()));
        let (bytes, room) = reading.await.map_err(|_| Refusal::Body)??;
        Ok((String::from_utf8(bytes).map_err(|_| Refusal::NotOneSealedSecret)?, room))
    }

    /// Room is taken for what has come, not for what is announced: announcing costs nothing.
    async fn collect(&self, mut body: Body) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>), Refusal> {
        let (mut bytes, mut room): (Vec<u8>, Option<SemaphorePermit<'_>>) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame.map_err(|_| Refusal::Body)?.into_data() else { continue };
            if bytes.len() + piece.len() > MAX_BODY {
                return Err(Refusal::Body);
            }
            let length = u32::try_from(piece.len()).map_err(|_| Refusal::Body)?;
            let more = self.bodies.try_acquire_many(length).map_err(|_| Refusal::TooManyInFlight)?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            bytes.extend_from_slice(&piece);
        }
        Ok((bytes, room))
    }
}

fn is_identity(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The one SealedSecret in this text.
pub(super) fn sealed_secret(text: &str) -> Result<SealedSecret, Refusal> {
    Ok(read(text)?.1)
}

/// The one document of this text, and the SealedSecret in it.
pub(super) fn read(text: &str) -> Result<(Document, SealedSecret), Refusal> {
    let document = only_document(text).ok_or(Refusal::NotOneSealedSecret)?;
    let names_itself = ["kind", "apiVersion"].into_iter().all(|field| document.root.get(field).is_some());
    let sealed = read_sealed_secret(&document, &document.root);
    let sealed = sealed.ok().filter(|_| names_itself).ok_or(Refusal::NotOneSealedSecret)?;
    Ok((document, sealed))
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    async fn read(body: &str, encoding: &str) -> Result<String, Refusal> {
        let ring = watch::Sender::new(None).subscribe();
        let patience = Duration::from_mins(1);
        let desk = Desk::new(ring, V1Data::Accepted, patience, patience);
        let request = Request::builder().header(CONTENT_ENCODING, encoding);
        desk.read(request.body(Body::from(body.to_owned())).unwrap()).await.map(|(text, _)| text)
    }

    #[tokio::test]
    async fn a_body_has_at_most_two_mebibytes_and_is_not_compressed() {
        let longest = "x".repeat(MAX_BODY);
        assert_eq!(read(&longest, "identity").await.unwrap(), longest);
        assert!(matches!(read(&format!("{longest}x"), "identity").await, Err(Refusal::Body)));
        assert!(matches!(read("x", "gzip").await, Err(Refusal::Body)));
    }

    #[tokio::test]
    async fn work_that_takes_too_long_is_told_to_end() {
        let ring = watch::Sender::new(Some(Arc::new(KeyRing::new(Vec::new())))).subscribe();
        let desk = Desk::new(ring, V1Data::Accepted, Duration::from_mins(1), Duration::from_millis(10));
        let (ended, end) = std::sync::mpsc::channel();
        let work = move |_: &str, _: &KeyRing, wanted: Wanted<'_>| {
            while wanted() {
                std::thread::yield_now();
            }
            ended.send(()).map_err(|_| Refusal::TooSlow)
        };
        let outcome = desk.handle(Request::new(Body::empty()), work).await;
        assert!(matches!(outcome, Err(Refusal::TooSlow)));
        assert_eq!(end.recv_timeout(Duration::from_mins(1)), Ok(()));
    }
}
