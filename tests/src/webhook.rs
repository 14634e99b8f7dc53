//! An admission webhook: a TLS server that the API server calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::error::{Error, IoContext, Result};
use crate::isolation::Ground;
use crate::pki::{Identity, Pki};

/// A request of the API server for a decision: the field `request` of an `AdmissionReview`.
#[derive(Debug)]
pub struct Review(Value);

impl Review {
    /// The object to be stored.
    #[must_use]
    pub fn object(&self) -> &Value {
        self.0.get("object").unwrap_or(&Value::Null)
    }

    /// The name of the object.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.get("name").and_then(Value::as_str).unwrap_or_default()
    }

    /// An `AdmissionReview` that admits the object, with these fields besides or instead.
    #[must_use]
    pub fn admitted(&self, fields: &Value) -> Value {
        self.response(json!({"allowed": true}), fields)
    }

    /// An `AdmissionReview` that denies the object with this status, a `metav1.Status`.
    #[must_use]
    pub fn denied(&self, status: &Value) -> Value {
        self.response(json!({"allowed": false}), &json!({"status": status}))
    }

    fn response(&self, mut response: Value, fields: &Value) -> Value {
        let all = [("uid", self.0.get("uid"))].into_iter().filter_map(|(name, value)| Some((name, value?)));
        let fields = fields.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value));
        if let Some(response) = response.as_object_mut() {
            response.extend(all.chain(fields).map(|(name, value)| (name.to_owned(), value.clone())));
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }
}

/// An HTTP response of a webhook: its code and body.
#[derive(Debug)]
pub struct Answer(pub u16, pub String);

impl From<Value> for Answer {
    fn from(review: Value) -> Self {
        Self(200, review.to_string())
    }
}

type Decide = Arc<dyn Fn(&Review) -> Answer + Send + Sync>;

/// A server for one or more webhooks, with a certificate of its own authority. It ends when dropped.
#[derive(Debug)]
pub struct AdmissionWebhook {
    address: SocketAddr,
    authority: String,
    calls: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl AdmissionWebhook {
    /// Starts a server that answers each request of the API server with the result of `decide`.
    ///
    /// # Errors
    /// When no port is free or no certificate can be made.
    pub async fn start(decide: impl Fn(&Review) -> Answer + Send + Sync + 'static) -> Result<Self> {
        let ground = Ground::here().address();
        let listener = TcpListener::bind(SocketAddr::new(ground, 0)).await;
        let listener = listener.when(|| "listen for the webhook".into())?;
        let address = listener.local_addr().when(|| "learn the webhook's port".into())?;
        let Pki { authority, server, .. } = Pki::generate(ground)?;
        let acceptor = acceptor(&server).map_err(Error::Invalid)?;
        let calls = Arc::new(AtomicUsize::new(0));
        let (counted, decide) = (Arc::clone(&calls), Arc::new(decide) as Decide);
        let decide = Arc::new(move |review: &Review| {
            counted.fetch_add(1, Ordering::SeqCst);
            decide(review)
        });
        let server = tokio::spawn(accept(listener, acceptor, decide));
        Ok(Self { address, authority, calls, server })
    }

    /// The number of requests so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The address and the certificate authority, in PEM, for a webhook's `clientConfig`.
    #[must_use]
    pub fn client_config(&self) -> (String, &str) {
        (format!("https://{}/", self.address), &self.authority)
    }
}

impl Drop for AdmissionWebhook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn acceptor(identity: &Identity) -> std::result::Result<TlsAcceptor, String> {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes());
    let certificate = certificate.map_err(|error| error.to_string())?;
    let key = key.map_err(|error| error.to_string())?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    Ok(TlsAcceptor::from(Arc::new(config.map_err(|error| error.to_string())?)))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, decide: Decide) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, acceptor.clone(), Arc::clone(&decide)));
    }
}

/// Serves one connection. Errors are ignored: the API server handles broken connections.
async fn serve(stream: TcpStream, acceptor: TlsAcceptor, decide: Decide) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| answer(request, Arc::clone(&decide)));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    decide: Decide,
) -> std::result::Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let mut review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let request = review.get_mut("request").map(Value::take).unwrap_or_default();
    let Answer(code, body) = decide(&Review(request));
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
