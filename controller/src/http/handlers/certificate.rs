//! `/v1/cert.pem`: the certificate of the primary key.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::keystore::publish::RingReceiver;

/// `GET /v1/cert.pem`: the certificate of the primary key, or 500 while there is none.
pub(crate) async fn pem(State(ring): State<RingReceiver>) -> Response {
    let ring = ring.borrow().clone();
    let primary = ring.as_ref().and_then(|ring| ring.primary()?.certificate());
    match primary {
        Some(certificate) => {
            ([(CONTENT_TYPE, "application/x-pem-file")], certificate.pem().to_owned()).into_response()
        }
        None => (StatusCode::INTERNAL_SERVER_ERROR, "there is no sealing key yet\n").into_response(),
    }
}
