//! What verify and rotate have in common: limits, reading the body, and one answer for everything that does not open.

use std::net::IpAddr;
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
use tokio_util::sync::CancellationToken;

use super::holdings::{Holding, Holdings};
use super::limited::too_many;
use super::turns::Turns;
use crate::context::RingReceiver;

/// Longest body in bytes.
const MAX_BODY: usize = 2 << 20;
/// Nobody needs longer for a body, so that slow ones cannot use up the places.
const BODY: Duration = Duration::from_secs(10);

/// Where requests with a SealedSecret are handled.
pub(crate) struct Desk {
    pub(super) v1_data: V1Data,
    ring: RingReceiver,
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
        v1_data: V1Data,
        read_timeout: Duration,
        write_timeout: Duration,
    ) -> Self {
        let read_timeout = read_timeout.min(BODY);
        let (holdings, turns) = (Arc::default(), Arc::default());
        Self { v1_data, ring, read_timeout, write_timeout, holdings, turns }
    }

    /// Reads the text of a request of `peer` and does `work` with it and the latest ring on a thread that may block. The work is told
    /// when nobody waits for its answer any more: the time is over, or the client has gone.
    pub(super) async fn handle<T: Send + 'static>(
        &self,
        peer: IpAddr,
        request: Request,
        work: impl FnOnce(&str, &KeyRing, Wanted<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let mut holding = self.holdings.enter(peer).ok_or(Refusal::TooManyInFlight)?;
        let text = self.read(request, &mut holding).await?;
        let ring = self.ring.borrow().clone().ok_or(Refusal::NoKey)?;
        let abandoned = CancellationToken::new();
        let _abandon_when_dropped = abandoned.clone().drop_guard();
        let working = async {
            let turn = self.turns.take(peer).await.ok_or(Refusal::TooSlow)?;
            let work = move || {
                let done = work(&text, &ring, &|| !abandoned.is_cancelled());
                drop(turn);
                done
            };
            tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::NotOneSealedSecret)?
        };
        tokio::time::timeout(self.write_timeout, working).await.map_err(|_| Refusal::TooSlow)?
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
    let sealed = read_sealed_secret(&document, &document.root);
    let sealed = sealed.ok().filter(|_| names_itself).ok_or(Refusal::NotOneSealedSecret)?;
    Ok((document, sealed))
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::Poll;

    use futures::{FutureExt as _, StreamExt as _, poll, stream};
    use tokio::sync::watch;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);
    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn desk(write_timeout: Duration) -> Desk {
        let ring = watch::Sender::new(Some(Arc::new(KeyRing::new(Vec::new())))).subscribe();
        Desk::new(ring, V1Data::Accepted, LONG, write_timeout)
    }

    async fn read(body: &str, encoding: &str) -> Result<String, Refusal> {
        let desk = desk(LONG);
        let request = Request::builder().header(CONTENT_ENCODING, encoding);
        let mut holding = desk.holdings.enter(ONE).unwrap();
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
        let hasty = Desk::new(ring, V1Data::Accepted, Duration::from_secs(1), LONG);
        assert_eq!(hasty.read_timeout, Duration::from_secs(1));
    }

    /// A request of which so many bytes come, and then nothing.
    fn unfinished(bytes: usize) -> Request {
        let piece = Ok::<_, std::io::Error>(vec![b' '; bytes]);
        Request::new(Body::from_stream(stream::iter([piece]).chain(stream::once(pending()))))
    }

    /// As many as this desk takes of such requests of one peer.
    async fn fill(desk: &Desk, peer: IpAddr, bytes: usize) -> Vec<impl Future<Output = Result<(), Refusal>>> {
        let mut waiting = Vec::new();
        loop {
            let mut request = Box::pin(desk.handle(peer, unfinished(bytes), |_, _, _| Ok(())));
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
        let first = desk.handle(ONE, Request::new(Body::empty()), move |_, _, _| {
            may_go_on.recv_timeout(LONG).map_err(|_| Refusal::TooSlow)
        });
        let mut first = pin!(first);
        assert!(poll!(&mut first).is_pending());
        let requests = [(ONE, "second"), (ONE, "third"), (OTHER, "of the other")];
        let mut waiting = requests.map(|(peer, name)| {
            let tell = tell.clone();
            let work =
                move |_: &str, _: &KeyRing, _: Wanted<'_>| tell.send(name).map_err(|_| Refusal::TooSlow);
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
            ended.send(()).map_err(|_| Refusal::TooSlow)
        };
        let outcome = desk.handle(ONE, Request::new(Body::empty()), work).await;
        assert!(matches!(outcome, Err(Refusal::TooSlow)));
        assert_eq!(end.recv_timeout(LONG), Ok(()));
    }
}
