//! What verify and rotate have in common: limits, reading the body, and one answer for everything that does not open.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use sealed_secrets_core::keyring::KeyRing;
use sealed_secrets_core::manifest::{Document, only_document, read_stored_sealed_secret};
use sealed_secrets_core::rewrap::Wanted;
use sealed_secrets_core::unseal::V1Data;
use sealed_secrets_crds::SealedSecret;
use tokio_util::sync::CancellationToken;

use super::clients::Client;
use super::holdings::{Holding, Holdings};
use super::limited::too_many;
use super::turns::Turns;
use crate::context::RingReceiver;
use crate::key_list::KeyList;

/// Longest body in bytes.
const MAX_BODY: usize = 2 << 20;
/// Nobody needs longer for a body, so that slow ones cannot use up the places.
const BODY: Duration = Duration::from_secs(10);
/// For a list of the key Secrets, of which there is at most one a second.
const FOR_LIST: Duration = Duration::from_secs(2);

/// Where requests with a SealedSecret are handled.
pub(crate) struct Desk {
    pub(super) v1_data: V1Data,
    ring: RingReceiver,
    key_list: Arc<KeyList>,
    read_timeout: Duration,
    write_timeout: Duration,
    holdings: Arc<Holdings>,
    /// One at a time: reconciling has the other processors.
    turns: Arc<Turns>,
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
    /// A body has `read_timeout`, and no more than ten seconds.
    pub(crate) fn new(
        ring: RingReceiver,
        key_list: Arc<KeyList>,
        v1_data: V1Data,
        read_timeout: Duration,
        write_timeout: Duration,
    ) -> Self {
        let read_timeout = read_timeout.min(BODY);
        let (holdings, turns) = (Arc::default(), Arc::default());
        Self { v1_data, ring, key_list, read_timeout, write_timeout, holdings, turns }
    }

    /// Reads the text of a request and does `work` with it and the latest ring, on a thread that may block. Where that opens
    /// nothing, once more with the ring of a list that was begun after the request had come: another replica may have made the key.
    /// What is held for the request goes back with the outcome.
    pub(super) async fn handle<T: Send + 'static>(
        &self,
        client: Client,
        request: Request,
        work: impl Fn(&str, &KeyRing, Wanted<'_>) -> Result<Option<T>, Refusal> + Send + Sync + 'static,
    ) -> Result<(Option<T>, Holding), Refusal> {
        let mut holding = self.holdings.enter(client.0).ok_or(Refusal::TooManyInFlight)?;
        let text = self.read(request, &mut holding).await?;
        let came = Instant::now();
        let work = Arc::new(move |ring: &KeyRing, wanted: Wanted<'_>| work(&text, ring, wanted));
        let working = async {
            let ring = self.ring.borrow().clone().ok_or(Refusal::NoKey)?;
            let opened = self.work(client, Arc::clone(&ring), Arc::clone(&work)).await?;
            if opened.is_some() {
                return Ok(opened);
            }
            match self.newer_ring(&ring, came).await {
                Some(newer) => self.work(client, newer, work).await,
                None => Ok(None),
            }
        };
        let opened =
            tokio::time::timeout(self.write_timeout, working).await.map_err(|_| Refusal::TooSlow)??;
        Ok((opened, holding))
    }

    /// Does `work` when it is the client's turn. It is told when nobody waits for its answer any more: the time is over, or the
    /// client has gone.
    async fn work<T: Send + 'static>(
        &self,
        client: Client,
        ring: Arc<KeyRing>,
        work: Arc<impl Fn(&KeyRing, Wanted<'_>) -> Result<Option<T>, Refusal> + Send + Sync + 'static>,
    ) -> Result<Option<T>, Refusal> {
        let abandoned = CancellationToken::new();
        let _abandon_when_dropped = abandoned.clone().drop_guard();
        let turn = self.turns.take(client.0).await.ok_or(Refusal::TooSlow)?;
        let work = move || {
            let done = work(&ring, &|| !abandoned.is_cancelled());
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::NotOneSealedSecret)?
    }

    /// The ring of a list that was begun after `moment`, if it is another one than `ring`.
    async fn newer_ring(&self, ring: &Arc<KeyRing>, moment: Instant) -> Option<Arc<KeyRing>> {
        // Without a list in time the ring may be another one all the same.
        let _ = tokio::time::timeout(FOR_LIST, self.key_list.published_after(moment)).await;
        self.ring.borrow().clone().filter(|newer| !Arc::ptr_eq(newer, ring))
    }

    /// The text of the body.
    async fn read(&self, request: Request, holding: &mut Holding) -> Result<String, Refusal> {
        if !is_identity(request.headers()) {
            return Err(Refusal::Body);
        }
        let reading = tokio::time::timeout(self.read_timeout, collect(request.into_body(), holding));
        let bytes = reading.await.map_err(|_| Refusal::Body)??;
        String::from_utf8(bytes).map_err(|_| Refusal::NotOneSealedSecret)
    }
}

/// Room is taken for what has come, not for what is announced: announcing costs nothing.
async fn collect(mut body: Body, holding: &mut Holding) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Refusal::Body)?.into_data() else { continue };
        if bytes.len() + piece.len() > MAX_BODY {
            return Err(Refusal::Body);
        }
        holding.keep(piece.len()).ok_or(Refusal::TooManyInFlight)?;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
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
    let sealed = read_stored_sealed_secret(&document, &document.root);
    let sealed = sealed.ok().filter(|_| names_itself).ok_or(Refusal::NotOneSealedSecret)?;
    Ok((document, sealed))
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

    fn desk(write_timeout: Duration) -> Desk {
        let ring = watch::Sender::new(Some(Arc::new(KeyRing::new(Vec::new())))).subscribe();
        Desk::new(ring, Arc::default(), V1Data::Accepted, LONG, write_timeout)
    }

    async fn read(body: &str, encoding: &str) -> Result<String, Refusal> {
        let desk = desk(LONG);
        let request = Request::builder().header(CONTENT_ENCODING, encoding);
        let mut holding = desk.holdings.enter(ONE.0).unwrap();
        desk.read(request.body(Body::from(body.to_owned())).unwrap(), &mut holding).await
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
        assert_eq!(desk(LONG).read_timeout, Duration::from_secs(10));
        let ring = watch::Sender::new(None).subscribe();
        let hasty = Desk::new(ring, Arc::default(), V1Data::Accepted, Duration::from_secs(1), LONG);
        assert_eq!(hasty.read_timeout, Duration::from_secs(1));
    }

    /// A request of which so many bytes come, and then nothing.
    fn unfinished(bytes: usize) -> Request {
        let piece = Ok::<_, std::io::Error>(vec![b' '; bytes]);
        Request::new(Body::from_stream(stream::iter([piece]).chain(stream::once(pending()))))
    }

    /// As many as this desk takes of such requests of one peer.
    async fn fill(
        desk: &Desk,
        peer: Client,
        bytes: usize,
    ) -> Vec<impl Future<Output = Result<(Option<()>, Holding), Refusal>> + use<'_>> {
        let mut waiting = Vec::new();
        loop {
            let mut request = Box::pin(desk.handle(peer, unfinished(bytes), |_, _, _| Ok(Some(()))));
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
            let desk = desk(LONG);
            let held = fill(&desk, ONE, bytes).await;
            assert_eq!(held.len(), expected);
            let of_other = fill(&desk, OTHER, bytes).await;
            assert_eq!(of_other.len(), expected);
            drop(held);
            assert_eq!(
                fill(&desk, ONE, bytes).await.len(),
                expected,
                "what is free again is given to the next"
            );
        }
    }

    #[tokio::test]
    async fn a_peer_with_much_work_lets_the_others_have_their_turn() {
        let (desk, (tell, told)) = (desk(LONG), mpsc::channel());
        let (go_on, may_go_on) = mpsc::channel();
        let may_go_on = Mutex::new(may_go_on);
        let first = desk.handle(ONE, Request::new(Body::empty()), move |_, _, _| {
            let may_go_on = may_go_on.lock().map_err(|_| Refusal::TooSlow)?;
            may_go_on.recv_timeout(LONG).map(Some).map_err(|_| Refusal::TooSlow)
        });
        let mut first = pin!(first);
        assert!(poll!(&mut first).is_pending());
        let requests = [(ONE, "second"), (ONE, "third"), (OTHER, "of the other")];
        let mut waiting = requests.map(|(peer, name)| {
            let tell = tell.clone();
            let work = move |_: &str, _: &KeyRing, _: Wanted<'_>| {
                tell.send(name).map(Some).map_err(|_| Refusal::TooSlow)
            };
            desk.handle(peer, Request::new(Body::empty()), work).boxed()
        });
        for request in &mut waiting {
            assert!(poll!(request).is_pending());
        }
        go_on.send(()).unwrap();
        first.await.unwrap();
        futures::future::try_join_all(waiting).await.unwrap();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["second", "of the other", "third"]);
    }

    #[tokio::test]
    async fn work_that_takes_too_long_is_told_to_end() {
        let desk = desk(Duration::from_millis(10));
        let (ended, end) = mpsc::channel();
        let work = move |_: &str, _: &KeyRing, wanted: Wanted<'_>| {
            while wanted() {
                std::thread::yield_now();
            }
            ended.send(()).map(Some).map_err(|_| Refusal::TooSlow)
        };
        let outcome = desk.handle(ONE, Request::new(Body::empty()), work).await;
        assert!(matches!(outcome, Err(Refusal::TooSlow)));
        assert_eq!(end.recv_timeout(LONG), Ok(()));
    }

    /// A desk whose first list finds another ring, and how often its work was asked for.
    async fn attempts_until_opened(opens_with: usize) -> (Option<()>, usize) {
        let (publisher, ring) = watch::channel(Some(Arc::new(KeyRing::new(Vec::new()))));
        let key_list = Arc::<KeyList>::default();
        let desk = Desk::new(ring, Arc::clone(&key_list), V1Data::Accepted, LONG, LONG);
        let listing = async {
            key_list.asked().await;
            publisher.send_replace(Some(Arc::new(KeyRing::new(Vec::new()))));
            key_list.published(Instant::now());
            pending::<()>().await;
        };
        let attempts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attempts);
        let work = move |_: &str, _: &KeyRing, _: Wanted<'_>| {
            Ok((counted.fetch_add(1, Ordering::SeqCst) + 1 >= opens_with).then_some(()))
        };
        let outcome = tokio::select! {
            outcome = desk.handle(ONE, Request::new(Body::empty()), work) => outcome.unwrap().0,
            () = listing => None,
        };
        (outcome, attempts.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn what_does_not_open_is_tried_once_more_with_the_keys_of_a_later_list() {
        assert_eq!(attempts_until_opened(1).await, (Some(()), 1));
        assert_eq!(attempts_until_opened(2).await, (Some(()), 2));
        assert_eq!(attempts_until_opened(3).await, (None, 2), "and no more than once");
    }

    #[tokio::test]
    async fn what_does_not_open_is_not_tried_again_with_the_same_keys_or_without_a_list() {
        for is_listed in [true, false] {
            let key_list = Arc::<KeyList>::default();
            let ring = watch::Sender::new(Some(Arc::new(KeyRing::new(Vec::new())))).subscribe();
            let desk = Desk::new(ring, Arc::clone(&key_list), V1Data::Accepted, LONG, LONG);
            let attempts = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&attempts);
            let work = move |_: &str, _: &KeyRing, _: Wanted<'_>| {
                counted.fetch_add(1, Ordering::SeqCst);
                Ok(None::<()>)
            };
            let listing = async {
                if is_listed {
                    key_list.asked().await;
                    key_list.published(Instant::now());
                }
                pending::<()>().await;
            };
            tokio::select! {
                outcome = desk.handle(ONE, Request::new(Body::empty()), work) => {
                    assert!(matches!(outcome, Ok((None, _))));
                }
                () = listing => {}
            }
            assert_eq!(attempts.load(Ordering::SeqCst), 1);
        }
    }
}
