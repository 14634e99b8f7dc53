//! The HTTP interface (compatibility 1.3): one file per handler. It knows the key ring and the metrics, not Kubernetes.

mod certificate;
mod desk;
mod health;
mod page;
mod rate;
mod rotate;
mod verify;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::context::RingReceiver;
use crate::error::StartError;
use crate::metrics::Metrics;

/// Listens on `address`, which `flag` has set.
///
/// # Errors
/// When the address cannot be used.
pub(crate) async fn listen(address: SocketAddr, flag: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|cause| StartError::Listen { address, flag, cause })
}

pub(crate) use desk::Desk;
pub(crate) use rate::{Limits, RateLimiter};

/// Serves the certificate, the probes, and the questions of kubeseal until `stop`.
pub(crate) async fn serve(listener: TcpListener, ring: RingReceiver, desk: Desk, stop: CancellationToken) {
    let questions = Router::new()
        .route("/v1/verify", post(verify::verify))
        .route("/v1/rotate", post(rotate::rotate))
        .with_state(Arc::new(desk));
    let routes = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/v1/cert.pem", get(certificate::pem))
        .with_state(ring)
        .merge(questions);
    answer(listener, routes, stop).await;
}

/// Serves the metrics until `stop`.
pub(crate) async fn serve_metrics(listener: TcpListener, metrics: Arc<Metrics>, stop: CancellationToken) {
    answer(listener, Router::new().route("/metrics", get(page::metrics)).with_state(metrics), stop).await;
}

async fn answer(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!("the HTTP server ended: {error}");
    }
}
