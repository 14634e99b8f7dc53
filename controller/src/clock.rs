//! The only reader of the time.

use jiff::Timestamp;
use kube::Client;

/// This machine's time.
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// The API server's time, from the Date header of an answer; `None` where it sends none.
///
/// # Errors
/// When the API server cannot be reached.
pub(crate) async fn of_api_server(client: &Client) -> Result<Option<Timestamp>, kube::Error> {
    let request =
        http::Request::get("/version").body(kube::client::Body::empty()).map_err(kube::Error::HttpError)?;
    let answer = client.send(request).await?;
    let date = answer.headers().get(http::header::DATE).and_then(|value| value.to_str().ok());
    Ok(date.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()).map(|time| time.timestamp()))
}
