//! Plain HTTP requests, as probes and curl send them.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Error, IoContext, Result};

const PATIENCE: Duration = Duration::from_secs(30);

/// A complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The header lines, unchanged.
    pub headers: String,
    /// The body.
    pub body: String,
}

impl HttpResponse {
    fn parse(answer: &str) -> Option<Self> {
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, headers: headers.to_owned(), body: body.to_owned() })
    }
}

/// Sends one HTTP/1.0 request to `server` (`address:port`) and reads the response to its end.
///
/// # Errors
/// When no server listens, the response is not HTTP, or takes more than 30 seconds.
pub async fn http_request(server: &str, method: &str, path: &str, body: &str) -> Result<HttpResponse> {
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.0\r\nHost: {server}\r\nContent-Length: {length}\r\n\r\n{body}");
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|late| Err(late.into()));
    let answer = answer.when(|| format!("{method} http://{server}{path}"))?;
    HttpResponse::parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| Error::Invalid(format!("{server} does not answer in HTTP")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_headers_and_a_body() {
        let answer =
            HttpResponse::parse("HTTP/1.0 503 Service Unavailable\r\nA: b\r\nC: d\r\n\r\nno\r\n\r\nkey")
                .unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.headers, "A: b\r\nC: d");
        assert_eq!(answer.body, "no\r\n\r\nkey");
    }

    #[test]
    fn other_protocols_are_no_answer() {
        assert_eq!(HttpResponse::parse("SSH-2.0-x\r\n"), None);
    }
}
