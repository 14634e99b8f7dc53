//! The common part of verify and rotate: limits, reading the body, and one answer for every SealedSecret that does not
//! decrypt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::re_encrypt::Wanted;
use sealed_secrets_core::unseal::V1Data;
use tokio_util::sync::CancellationToken;

use crate::http::in_flight::{InFlight, InFlightLimit};
use crate::http::middleware::clients::Client;
use crate::http::middleware::rate_limit::too_many;
use crate::keystore::list::refresh::KeyRefresh;
use crate::keystore::publish::RingReceiver;
use crate::work::fair_semaphore::{FairSemaphore, Limits, WorkClass};

/// Body limit in bytes.
const MAX_BODY: usize = 2 << 20;
/// Body read timeout, so that slow clients cannot occupy all requests in flight.
const BODY: Duration = Duration::from_secs(10);
/// Timeout for a list of the key Secrets, of which there is at most one per second.
const FOR_LIST: Duration = Duration::from_secs(2);

/// Handles requests that contain a SealedSecret.
pub(crate) struct RequestHandler {
    pub(crate) v1_data: V1Data,
    ring: RingReceiver,
    key_refresh: Arc<KeyRefresh>,
    read_timeout: Duration,
    write_timeout: Duration,
    in_flight_limit: Arc<InFlightLimit>,
    /// One request at a time: the other processors are left to reconciliation. Clients share the permit by their addresses.
    turns: Arc<FairSemaphore>,
}

/// The reason why a request is refused. The texts are fixed and disclose nothing about keys or content.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    TooManyInFlight,
    Body,
    NotOneSealedSecret,
    NotSealedSecrets,
    NoKey,
    /// The object does not decrypt with the keys known here, and whether they are all cannot be found out.
    KeysNotListed,
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
            Self::NotSealedSecrets => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the body must be one SealedSecret, or a List of SealedSecrets, as JSON or YAML\n",
            )
                .into_response(),
            Self::NoKey => {
                (StatusCode::INTERNAL_SERVER_ERROR, "there is no sealing key yet\n").into_response()
            }
            Self::KeysNotListed => {
                let text = "no known sealing key decrypts it, and the controller cannot list the keys now: try again\n";
                (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            }
            Self::TooSlow => (StatusCode::SERVICE_UNAVAILABLE, "the request timed out\n").into_response(),
        }
    }
}

impl RequestHandler {
    /// Creates a handler. The timeout for a body is `read_timeout`, and no more than ten seconds.
    pub(crate) fn new(
        ring: RingReceiver,
        key_refresh: Arc<KeyRefresh>,
        v1_data: V1Data,
        read_timeout: Duration,
        write_timeout: Duration,
    ) -> Self {
        let read_timeout = read_timeout.min(BODY);
        let turns = FairSemaphore::new(Limits { units: 1, units_per_namespace: 1, cost: 1 });
        let in_flight_limit = Arc::default();
        Self { v1_data, ring, key_refresh, read_timeout, write_timeout, in_flight_limit, turns }
    }

    /// Admits a request and reads the text of its body.
    pub(super) async fn receive(
        &self,
        client: Client,
        request: Request,
    ) -> Result<(String, InFlight), Refusal> {
        let mut in_flight = self.in_flight_limit.enter(client.0).ok_or(Refusal::TooManyInFlight)?;
        let text = self.read(request, &mut in_flight).await?;
        Ok((text, in_flight))
    }

    /// Makes an attempt with the latest ring. If that is not complete, makes it once more with the ring of a list that
    /// began after this call, if that differs.
    pub(super) async fn with_keys<T, F: Future<Output = Result<T, Refusal>>>(
        &self,
        attempt: impl Fn(Arc<KeyRing>) -> F,
        is_complete: impl Fn(&T) -> bool,
    ) -> Result<T, Refusal> {
        let came = Instant::now();
        let working = async {
            let ring = self.ring.borrow().clone().ok_or(Refusal::NoKey)?;
            let outcome = attempt(Arc::clone(&ring)).await?;
            if is_complete(&outcome) {
                return Ok(outcome);
            }
            match self.newer_ring(&ring, came).await? {
                Some(newer) => attempt(newer).await,
                None => Ok(outcome),
            }
        };
        tokio::time::timeout(self.write_timeout, working).await.map_err(|_| Refusal::TooSlow)?
    }

    /// Calls `work` on a blocking thread when it is the client's turn. `Wanted` returns false once the request has timed
    /// out, or the client has closed the connection.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        client: Client,
        work: impl FnOnce(Wanted<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let abandoned = CancellationToken::new();
        let _abandon_when_dropped = abandoned.clone().drop_guard();
        let turn = self.turns.acquire(&client.0.to_string(), 1, WorkClass::New).await;
        let turn = turn.ok_or(Refusal::TooSlow)?;
        let work = move || {
            let done = work(&|| !abandoned.is_cancelled());
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::NotOneSealedSecret)?
    }

    /// Returns the ring of a list that began after `instant`, if it differs from `ring`.
    ///
    /// # Errors
    /// [`Refusal::KeysNotListed`], if there is no such list in time: another replica may have a key that is not known here.
    async fn newer_ring(
        &self,
        ring: &Arc<KeyRing>,
        instant: Instant,
    ) -> Result<Option<Arc<KeyRing>>, Refusal> {
        let listed = tokio::time::timeout(FOR_LIST, self.key_refresh.published_after(instant)).await;
        // Even if the list times out, the ring may have changed.
        let newer = self.ring.borrow().clone().filter(|newer| !Arc::ptr_eq(newer, ring));
        if newer.is_none() && listed.is_err() { Err(Refusal::KeysNotListed) } else { Ok(newer) }
    }

    /// Returns the text of the body.
    async fn read(&self, request: Request, in_flight: &mut InFlight) -> Result<String, Refusal> {
        if !is_identity(request.headers()) {
            return Err(Refusal::Body);
        }
        let reading = tokio::time::timeout(self.read_timeout, collect(request.into_body(), in_flight));
        let bytes = reading.await.map_err(|_| Refusal::Body)??;
        String::from_utf8(bytes).map_err(|_| Refusal::NotOneSealedSecret)
    }
}

/// Reads the body. Memory is reserved for received bytes, not for the declared Content-Length, which is free to forge.
async fn collect(mut body: Body, in_flight: &mut InFlight) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Refusal::Body)?.into_data() else { continue };
        if bytes.len() + piece.len() > MAX_BODY {
            return Err(Refusal::Body);
        }
        in_flight.keep(piece.len()).ok_or(Refusal::TooManyInFlight)?;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn is_identity(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::net::{IpAddr, Ipv4Addr};
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, mpsc};
    use std::task::Poll;

    use futures::{FutureExt as _, StreamExt as _, poll, stream};
    use tokio::sync::watch;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);
    const ONE: Client = Client(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    const OTHER: Client = Client(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));

    fn request_handler(write_timeout: Duration) -> RequestHandler {
        let ring = watch::Sender::new(Some(Arc::new(KeyRing::new(Vec::new())))).subscribe();
        RequestHandler::new(ring, Arc::default(), V1Data::Accepted, LONG, write_timeout)
    }

    async fn read(body: &str, encoding: &str) -> Result<String, Refusal> {
        let request_handler = request_handler(LONG);
        let request = Request::builder().header(CONTENT_ENCODING, encoding);
        let mut in_flight = request_handler.in_flight_limit.enter(ONE.0).unwrap();
        request_handler.read(request.body(Body::from(body.to_owned())).unwrap(), &mut in_flight).await
    }

    #[tokio::test]
    async fn a_body_has_at_most_two_mebibytes_and_is_not_compressed() {
        let longest = "x".repeat(MAX_BODY);
        assert_eq!(read(&longest, "identity").await.unwrap(), longest);
        assert!(matches!(read(&format!("{longest}x"), "identity").await, Err(Refusal::Body)));
        assert!(matches!(read("x", "gzip").await, Err(Refusal::Body)));
    }

    #[test]
    fn a_body_has_ten_seconds_or_less() {
        assert_eq!(request_handler(LONG).read_timeout, Duration::from_secs(10));
        let ring = watch::Sender::new(None).subscribe();
        let hasty = RequestHandler::new(ring, Arc::default(), V1Data::Accepted, Duration::from_secs(1), LONG);
        assert_eq!(hasty.read_timeout, Duration::from_secs(1));
    }

    /// Returns a request whose body stops after this number of bytes, without an end.
    fn unfinished(bytes: usize) -> Request {
        let piece = Ok::<_, std::io::Error>(vec![b' '; bytes]);
        Request::new(Body::from_stream(stream::iter([piece]).chain(stream::once(pending()))))
    }

    /// Handles a request with one turn for each attempt.
    async fn handle<T: Send + 'static>(
        request_handler: &RequestHandler,
        client: Client,
        request: Request,
        work: impl Fn(Wanted<'_>) -> Result<Option<T>, Refusal> + Send + Sync + 'static,
    ) -> Result<(Option<T>, InFlight), Refusal> {
        let (_, in_flight) = request_handler.receive(client, request).await?;
        let work = Arc::new(work);
        let attempt = |_| {
            let work = Arc::clone(&work);
            request_handler.in_turn(client, move |wanted| work(wanted))
        };
        Ok((request_handler.with_keys(attempt, Option::is_some).await?, in_flight))
    }

    /// Sends such requests of one client until one is refused.
    async fn fill(
        request_handler: &RequestHandler,
        peer: Client,
        bytes: usize,
    ) -> Vec<impl Future<Output = Result<(Option<()>, InFlight), Refusal>> + use<'_>> {
        let mut waiting = Vec::new();
        loop {
            let mut request = Box::pin(handle(request_handler, peer, unfinished(bytes), |_| Ok(Some(()))));
            if let Poll::Ready(outcome) = poll!(&mut request) {
                assert!(matches!(outcome, Err(Refusal::TooManyInFlight)));
                return waiting;
            }
            waiting.push(request);
        }
    }

    #[tokio::test]
    async fn a_peer_whose_bodies_do_not_end_keeps_nobody_else_out() {
        for (bytes, expected) in [(0, 16), (2 << 20, 2)] {
            let request_handler = request_handler(LONG);
            let held = fill(&request_handler, ONE, bytes).await;
            assert_eq!(held.len(), expected);
            let of_other = fill(&request_handler, OTHER, bytes).await;
            assert_eq!(of_other.len(), expected);
            drop(held);
            assert_eq!(
                fill(&request_handler, ONE, bytes).await.len(),
                expected,
                "what is free again is given to the next"
            );
        }
    }

    #[tokio::test]
    async fn a_peer_with_much_work_lets_the_others_have_their_turn() {
        let (request_handler, (sender, receiver)) = (request_handler(LONG), mpsc::channel());
        let (go_on, may_go_on) = mpsc::channel();
        let may_go_on = Mutex::new(may_go_on);
        let first = handle(&request_handler, ONE, Request::new(Body::empty()), move |_| {
            let may_go_on = may_go_on.lock().map_err(|_| Refusal::TooSlow)?;
            may_go_on.recv_timeout(LONG).map(Some).map_err(|_| Refusal::TooSlow)
        });
        let mut first = pin!(first);
        assert!(poll!(&mut first).is_pending());
        let requests = [(ONE, "second"), (ONE, "third"), (OTHER, "of the other")];
        let mut waiting = requests.map(|(peer, name)| {
            let sender = sender.clone();
            let work = move |_: Wanted<'_>| sender.send(name).map(Some).map_err(|_| Refusal::TooSlow);
            handle(&request_handler, peer, Request::new(Body::empty()), work).boxed()
        });
        for request in &mut waiting {
            assert!(poll!(request).is_pending());
        }
        go_on.send(()).unwrap();
        first.await.unwrap();
        futures::future::try_join_all(waiting).await.unwrap();
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["of the other", "second", "third"]);
    }

    #[tokio::test]
    async fn work_is_cancelled_after_its_timeout() {
        let request_handler = request_handler(Duration::from_millis(10));
        let (ended, end) = mpsc::channel();
        let work = move |wanted: Wanted<'_>| {
            while wanted() {
                std::thread::yield_now();
            }
            ended.send(()).map(Some).map_err(|_| Refusal::TooSlow)
        };
        let outcome = handle(&request_handler, ONE, Request::new(Body::empty()), work).await;
        assert!(matches!(outcome, Err(Refusal::TooSlow)));
        assert_eq!(end.recv_timeout(LONG), Ok(()));
    }

    /// Runs a handler whose first list finds another ring, and returns the number of calls of `work`.
    async fn attempts_until_decrypted(decrypts_at: usize) -> (Option<()>, usize) {
        let (publisher, ring) = watch::channel(Some(Arc::new(KeyRing::new(Vec::new()))));
        let key_refresh = Arc::<KeyRefresh>::default();
        let request_handler =
            RequestHandler::new(ring, Arc::clone(&key_refresh), V1Data::Accepted, LONG, LONG);
        let listing = async {
            key_refresh.requested().await;
            publisher.send_replace(Some(Arc::new(KeyRing::new(Vec::new()))));
            key_refresh.published(Instant::now());
            pending::<()>().await;
        };
        let attempts = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&attempts);
        let work = move |_: Wanted<'_>| {
            Ok((counter.fetch_add(1, Ordering::SeqCst) + 1 >= decrypts_at).then_some(()))
        };
        let outcome = tokio::select! {
            outcome = handle(&request_handler, ONE, Request::new(Body::empty()), work) => outcome.unwrap().0,
            () = listing => None,
        };
        (outcome, attempts.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn a_failed_decryption_is_repeated_once_with_the_keys_of_a_later_list() {
        assert_eq!(attempts_until_decrypted(1).await, (Some(()), 1));
        assert_eq!(attempts_until_decrypted(2).await, (Some(()), 2));
        assert_eq!(attempts_until_decrypted(3).await, (None, 2), "and no more than once");
    }

    #[tokio::test]
    async fn a_failed_decryption_is_not_repeated_with_the_same_keys_and_no_answer_without_a_list() {
        for is_listed in [true, false] {
            let key_refresh = Arc::<KeyRefresh>::default();
            let ring = watch::Sender::new(Some(Arc::new(KeyRing::new(Vec::new())))).subscribe();
            let request_handler =
                RequestHandler::new(ring, Arc::clone(&key_refresh), V1Data::Accepted, LONG, LONG);
            let attempts = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&attempts);
            let work = move |_: Wanted<'_>| {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(None::<()>)
            };
            let listing = async {
                if is_listed {
                    key_refresh.requested().await;
                    key_refresh.published(Instant::now());
                }
                pending::<()>().await;
            };
            tokio::select! {
                outcome = handle(&request_handler, ONE, Request::new(Body::empty()), work) => {
                    match outcome {
                        Ok((None, _)) => assert!(is_listed),
                        Err(Refusal::KeysNotListed) => assert!(!is_listed),
                        _ => panic!("another answer"),
                    }
                }
                () = listing => {}
            }
            assert_eq!(attempts.load(Ordering::SeqCst), 1);
        }
    }
}
