//! The system clock and the API server's. No other module reads the current time.

use jiff::Timestamp;
use kube::Client;

/// Returns the time of this machine.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Returns the API server's time, from the Date header of an answer; `None` if the answer has none.
///
/// # Errors
/// If the API server cannot be reached.
pub(crate) async fn of_api_server(client: &Client) -> Result<Option<Timestamp>, kube::Error> {
    let request =
        http::Request::get("/version").body(kube::client::Body::empty()).map_err(kube::Error::HttpError)?;
    let answer = client.send(request).await?;
    let date = answer.headers().get(http::header::DATE).and_then(|value| value.to_str().ok());
    Ok(date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()).map(|time| time.timestamp()))
}
