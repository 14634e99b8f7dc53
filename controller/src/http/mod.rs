//! The HTTP interface (docs/compatibility.md, section 1.3), one file per handler. It depends on the key ring and the
//! metrics, not on Kubernetes.

pub(crate) mod handlers;
pub(crate) mod in_flight;
pub(crate) mod middleware;
mod server;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::keystore::publish::RingReceiver;
use crate::metrics::Metrics;

pub(crate) use handlers::health::{Readiness, Requirement};
pub(crate) use handlers::request_handler::RequestHandler;
use middleware::rate_limit;

pub(crate) use middleware::clients::TrustedProxies;
pub(crate) use middleware::rate_limiter::{Limits, RateLimiter};
#[cfg(any(test, fuzzing))]
pub use server::fuzzed::http_head;
pub(crate) use server::listen::listen;
pub(crate) use server::{ConnectionTimeouts, ShutdownTimeouts};

/// Dependencies of the HTTP interface.
pub(crate) struct HttpState {
    pub(crate) ring: RingReceiver,
    pub(crate) readiness: Readiness,
    pub(crate) request_handler: RequestHandler,
    pub(crate) limiter: RateLimiter,
    pub(crate) proxies: Arc<TrustedProxies>,
    pub(crate) metrics: Arc<Metrics>,
}

/// Serves the certificate, the probes, verify and rotate until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    http_state: HttpState,
    timeouts: ConnectionTimeouts,
    stop: CancellationToken,
) {
    server::answer(listener, routes(http_state), timeouts, stop).await;
}

/// Builds the routes. Every path accepts every method, like upstream's.
fn routes(HttpState { ring, readiness, request_handler, limiter, proxies, metrics }: HttpState) -> Router {
    let identified = from_fn_with_state(proxies, middleware::clients::identified);
    let limit = from_fn_with_state(Arc::new(limiter), rate_limit::limit);
    let verify_and_rotate = Router::new()
        .route("/v1/verify", any(handlers::verify::verify))
        .route(rate_limit::ROTATE, any(handlers::rotate::rotate))
        .route_layer(limit)
        .route_layer(identified)
        .with_state(Arc::new(request_handler));
    let api = Router::new()
        .route("/v1/cert.pem", any(handlers::certificate::pem))
        .with_state(ring)
        .merge(verify_and_rotate)
        .route_layer(from_fn_with_state(metrics, middleware::metrics::count_requests));
    Router::new()
        .route("/healthz", any(handlers::health::alive))
        .route("/readyz", any(handlers::health::ready))
        .with_state(readiness)
        .merge(api)
        .fallback(nothing_here)
}

/// Serves the metrics until `stop`.
pub(crate) async fn serve_metrics(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    timeouts: ConnectionTimeouts,
    stop: CancellationToken,
) {
    let page = handlers::metrics_page::Page::new(move || metrics.render());
    let routes =
        Router::new().route("/metrics", any(handlers::metrics_page::metrics)).with_state(Arc::new(page));
    server::answer(listener, routes.fallback(nothing_here), timeouts, stop).await;
}

async fn nothing_here() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "404 page not found\n")
}
