//! The HTTP interface (compatibility 1.3): one file per handler. It knows the key ring and the metrics, not Kubernetes.

mod certificate;
mod clients;
mod counted;
mod desk;
mod guests;
mod health;
mod holdings;
mod limited;
mod listen;
mod page;
mod rate;
mod rotate;
mod server;
mod socket;
#[cfg(test)]
mod tests;
mod turns;
mod unread;
mod verify;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::context::RingReceiver;
use crate::metrics::Metrics;

pub(crate) use clients::TrustedProxies;
pub(crate) use desk::Desk;
pub(crate) use health::Readiness;
pub(crate) use listen::listen;
pub(crate) use rate::{Limits, RateLimiter};
pub(crate) use server::Patience;

/// What the interface needs of the rest of the controller.
pub(crate) struct Interface {
    pub(crate) ring: RingReceiver,
    pub(crate) readiness: Readiness,
    pub(crate) desk: Desk,
    pub(crate) limiter: RateLimiter,
    pub(crate) proxies: Arc<TrustedProxies>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Serves the certificate, the probes, and the questions of kubeseal until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    interface: Interface,
    patience: Patience,
    stop: CancellationToken,
) {
    server::answer(listener, routes(interface), patience, stop).await;
}

/// Every path takes every method, as upstream's do.
fn routes(Interface { ring, readiness, desk, limiter, proxies, metrics }: Interface) -> Router {
    let identified = from_fn_with_state(proxies, clients::identified);
    let limited = from_fn_with_state(Arc::new(limiter), limited::limited);
    let questions = Router::new()
        .route("/v1/verify", any(verify::verify))
        .route("/v1/rotate", any(rotate::rotate))
        .route_layer(limited)
        .route_layer(identified)
        .with_state(Arc::new(desk));
    let counted = Router::new()
        .route("/v1/cert.pem", any(certificate::pem))
        .with_state(ring)
        .merge(questions)
        .route_layer(from_fn_with_state(metrics, counted::counted));
    Router::new()
        .route("/healthz", any(health::alive))
        .route("/readyz", any(health::ready))
        .with_state(readiness)
        .merge(counted)
        .fallback(nothing_here)
}

/// Serves the metrics until `stop`.
pub(crate) async fn serve_metrics(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    patience: Patience,
    stop: CancellationToken,
) {
    let page = page::Page::new(move || metrics.render());
    let routes = Router::new().route("/metrics", any(page::metrics)).with_state(Arc::new(page));
    server::answer(listener, routes.fallback(nothing_here), patience, stop).await;
}

async fn nothing_here() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404 page not found\n")
}
