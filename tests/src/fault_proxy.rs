//! An HTTP proxy between a controller and the API server, with fault injection.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::channel::Channel;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::controller_process::{client_of_account, write_account};
use crate::error::{IoContext, Result};
use crate::installation::Installation;
use crate::isolation::Ground;
use crate::kubeconfig::{self, Credentials};
use crate::run_folder;

/// The fault that a request gets instead of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error of the API server with this code.
    Status(u16),
    /// An error of the API server with `Retry-After`, in seconds.
    RetryAfter(u32),
    /// A watch that starts and at once reports an expired resourceVersion.
    Expired,
    /// A response that never comes; the API server does not see the request.
    Silence,
    /// The API server executes the request, but its response is dropped.
    Unanswered,
    /// An error of this code that quotes the request's values, decoded, in every text of the response: the worst that an
    /// admission webhook could do.
    Echo(u16),
    /// The request reaches the API server only after [`FaultProxy::heal`].
    Held,
}

/// A request as received, and its result if there is one yet.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The moment at which it arrived.
    pub at: std::time::Instant,
    /// The moment of the API server's response, and its status; `None` if it has not responded, or has not seen the request.
    pub answered: Option<(std::time::Instant, u16)>,
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its header Accept.
    pub accept: String,
    /// Its body; null if that is not JSON.
    pub body: Value,
}

type Delay = Arc<dyn Fn(&str) -> Option<Duration> + Send + Sync>;
type Rule = Arc<dyn Fn(&Method, &str) -> Option<Fault> + Send + Sync>;
type AnyBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

struct State {
    client: Client,
    rule: Mutex<Option<Rule>>,
    delay: Mutex<Option<Delay>>,
    faults: AtomicUsize,
    asked: Mutex<Vec<Asked>>,
    /// Held requests continue when this number changes.
    healed: watch::Sender<u64>,
    /// A date for the responses instead of the API server's.
    date: Mutex<Option<String>>,
    /// Responses in progress stop when this number changes; their connections stay open.
    frozen: watch::Sender<u64>,
}

impl State {
    /// Notes a request. Returns its place among all.
    fn note(&self, request: &Request<Bytes>, path: &str) -> usize {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let asked = Asked {
            at: std::time::Instant::now(),
            answered: None,
            method: request.method().clone(),
            path: path.to_owned(),
            accept: accept.unwrap_or_default().to_owned(),
            body: serde_json::from_slice(request.body()).unwrap_or_default(),
        };
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(asked);
        all.len() - 1
    }

    fn note_answer(&self, place: usize, status: StatusCode) {
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = all.get_mut(place) {
            asked.answered = Some((std::time::Instant::now(), status.as_u16()));
        }
    }

    fn delay_of(&self, path: &str) -> Duration {
        let delay = self.delay.lock().unwrap_or_else(PoisonError::into_inner).clone();
        delay.and_then(|delay| delay(path)).unwrap_or_default()
    }
}

/// A proxy for the controller of one installation. It forwards everything unless a fault is set, and ends when dropped.
pub struct FaultProxy {
    state: Arc<State>,
    kubeconfig: PathBuf,
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy. The kubeconfig for it has the permissions of the installation's account.
    ///
    /// # Errors
    /// When no port is free or the account gets no token.
    pub async fn start(installation: &Installation) -> Result<Self> {
        let folder = run_folder::part("fault-proxy")?;
        let account = write_account(installation, &folder).await?;
        let client = client_of_account(&account).await?;
        let listener = TcpListener::bind(SocketAddr::new(Ground::here().address(), 0)).await;
        let listener = listener.when(|| "listen for the fault proxy".into())?;
        let address = listener.local_addr().when(|| "learn the fault proxy's port".into())?;
        let kubeconfig = folder.join("through-proxy.kubeconfig");
        let token = std::fs::read_to_string(account.join("token")).when(|| "read the token".into())?;
        let (url, authority) = (format!("http://{address}"), installation.access.authority());
        let who = Credentials::Token(&token);
        kubeconfig::write(&kubeconfig, &url, &authority, &who, installation.namespace())?;
        let state = Arc::new(State {
            client,
            rule: Mutex::default(),
            delay: Mutex::default(),
            faults: AtomicUsize::new(0),
            asked: Mutex::default(),
            healed: watch::channel(0).0,
            date: Mutex::default(),
            frozen: watch::channel(0).0,
        });
        let server = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { state, kubeconfig, address, server })
    }

    /// The kubeconfig that connects through the proxy.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The flag of a controller that connects through the proxy.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--kubeconfig={}", self.kubeconfig.display())
    }

    /// Injects faults from now on into the requests for which `rule` returns one, by method and path with query.
    pub fn fail(&self, rule: impl Fn(&Method, &str) -> Option<Fault> + Send + Sync + 'static) {
        self.state.faults.store(0, Ordering::SeqCst);
        *self.state.rule.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(rule));
    }

    /// Removes all faults.
    pub fn heal(&self) {
        *self.state.rule.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.state.healed.send_modify(|number| *number += 1);
    }

    /// Delays each chunk of a response from now on by the time that `delay` returns for its path with query, so that watches lag.
    /// The order is kept.
    pub fn delay(&self, delay: impl Fn(&str) -> Option<Duration> + Send + Sync + 'static) {
        *self.state.delay.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(delay));
    }

    /// All requests so far, in the order of arrival.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests that have arrived since this moment, in their order.
    #[must_use]
    pub fn asked_since(&self, moment: std::time::Instant) -> Vec<Asked> {
        let all = self.state.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let first = all.partition_point(|asked| asked.at < moment);
        all.get(first..).unwrap_or_default().to_vec()
    }

    /// Sets the date of responses from now on (RFC 9110), to simulate another clock of the API server; `None` for the real date.
    pub fn pretend_date(&self, date: Option<&str>) {
        *self.state.date.lock().unwrap_or_else(PoisonError::into_inner) = date.map(str::to_owned);
    }

    /// Stops all responses in progress, above all watches, without closing their connections, as if the peer had vanished. New
    /// requests are not affected.
    pub fn freeze(&self) {
        self.state.frozen.send_modify(|number| *number += 1);
    }

    /// Refuses new connections, as if no server listened.
    pub async fn close(&mut self) {
        self.server.abort();
        // The socket is closed when the task has ended.
        let _ = (&mut self.server).await;
    }

    /// Listens again after [`Self::close`].
    ///
    /// # Errors
    /// When another program has taken the port.
    pub async fn open(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.address).await.when(|| "listen for the fault proxy".into())?;
        self.server = tokio::spawn(accept(listener, Arc::clone(&self.state)));
        Ok(())
    }

    /// The number of requests with a fault since the last call of [`Self::fail`].
    #[must_use]
    pub fn faults(&self) -> usize {
        self.state.faults.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&state)));
    }
}

/// Serves one connection. Errors are ignored: the controller handles broken connections.
async fn serve(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(move |request| answer(request, Arc::clone(&state)));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<State>,
) -> std::result::Result<Response<AnyBody>, hyper::Error> {
    let (head, body) = request.into_parts();
    let request = Request::from_parts(head, body.collect().await?.to_bytes());
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let place = state.note(&request, &path);
    let mut healed = state.healed.subscribe();
    let rule = state.rule.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(fault) = rule.and_then(|rule| rule(request.method(), &path)) else {
        return Ok(deliver(request, path, state, place).await);
    };
    if fault == Fault::Unanswered {
        // Counted only after the API server has responded.
        drop(deliver(request, path, Arc::clone(&state), place).await);
        state.faults.fetch_add(1, Ordering::SeqCst);
        return std::future::pending().await;
    }
    state.faults.fetch_add(1, Ordering::SeqCst);
    Ok(match fault {
        Fault::Silence | Fault::Unanswered => std::future::pending().await,
        Fault::Held => {
            // The sender is gone only if the proxy has ended.
            let _ = healed.changed().await;
            deliver(request, path, state, place).await
        }
        Fault::Status(code) => json_answer(code, &status(code)),
        Fault::RetryAfter(seconds) => {
            let mut answer = json_answer(429, &status(429));
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            answer
        }
        Fault::Echo(code) => json_answer(code, &echo(code, request.body())),
        Fault::Expired => json_answer(200, &json!({ "type": "ERROR", "object": status(410) })),
    })
}

/// Passes a request on, and notes its answer also if the client is gone by then: the API server executes it all the same.
async fn deliver(
    request: Request<Bytes>,
    path: String,
    state: Arc<State>,
    place: usize,
) -> Response<AnyBody> {
    let passing = tokio::spawn(async move { pass_on(request, path, &state, place).await });
    passing.await.unwrap_or_else(|_| json_answer(503, &status(503)))
}

async fn pass_on(
    request: Request<Bytes>,
    path: String,
    state: &Arc<State>,
    place: usize,
) -> Response<AnyBody> {
    let frozen = state.frozen.subscribe();
    let (mut head, body) = request.into_parts();
    // The client of the proxy adds its own.
    head.headers.remove(header::AUTHORIZATION);
    head.headers.remove(header::HOST);
    let Ok(response) = state.client.send(Request::from_parts(head, Body::from(body))).await else {
        return json_answer(503, &status(503));
    };
    state.note_answer(place, response.status());
    let (mut head, body) = response.into_parts();
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
        head.headers.remove(name);
    }
    let date = state.date.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(date) = date.and_then(|date| header::HeaderValue::from_str(&date).ok()) {
        head.headers.insert(header::DATE, date);
    }
    Response::from_parts(head, forward(delayed(body, path, Arc::clone(state)), frozen))
}

type Piece = std::result::Result<Frame<Bytes>, kube::Error>;

/// The chunks of a response, each with the earliest time of its delivery.
fn delayed(mut body: Body, path: String, state: Arc<State>) -> mpsc::UnboundedReceiver<(Instant, Piece)> {
    let (pieces, arriving) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(piece) = body.frame().await {
            let due = Instant::now() + state.delay_of(&path);
            if pieces.send((due, piece)).is_err() {
                return;
            }
        }
    });
    arriving
}

/// Forwards the response chunk by chunk until it is frozen; after that nothing is sent, not even the end of the response.
fn forward(
    mut pieces: mpsc::UnboundedReceiver<(Instant, Piece)>,
    mut frozen: watch::Receiver<u64>,
) -> AnyBody {
    let (mut sender, channel) = Channel::<Bytes, Box<dyn std::error::Error + Send + Sync>>::new(16);
    tokio::spawn(async move {
        let mut next = async || {
            let (due, piece) = pieces.recv().await?;
            sleep_until(due).await;
            Some(piece)
        };
        loop {
            tokio::select! {
                _ = frozen.changed() => std::future::pending::<()>().await,
                piece = next() => match piece {
                    Some(Ok(piece)) => {
                        if sender.send(piece).await.is_err() {
                            return;
                        }
                    }
                    Some(Err(error)) => return sender.abort(Box::new(error)),
                    None => return,
                },
            }
        }
    });
    channel.boxed_unsync()
}

fn json_answer(code: u16, body: &Value) -> Response<AnyBody> {
    let body = Full::new(Bytes::from(format!("{body}\n"))).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// An error that quotes the values of a Secret, and the names of its items, in all of its texts.
fn echo(code: u16, sent: &[u8]) -> Value {
    let secret: Secret = serde_json::from_slice(sent).unwrap_or_default();
    let values = secret.data.iter().flatten().map(|(_, value)| String::from_utf8_lossy(&value.0));
    let words: String = values.collect::<Vec<_>>().join(" ");
    let fields =
        [words.clone(), format!("data[{words}]"), format!("metadata.{words}"), format!("data.{words}")];
    let causes = fields.map(|field| json!({"reason": words, "message": words, "field": field}));
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": words,
        "message": format!("admission webhook \"{words}\" denied the request: {words}"),
        "details": {"name": words, "kind": words, "group": words, "uid": words, "causes": causes}
    })
}

fn status(code: u16) -> Value {
    let reason = match code {
        403 => "Forbidden",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("a fault on purpose: {reason}"), "reason": reason, "code": code
    })
}
