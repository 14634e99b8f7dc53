//! The file with the account's token, which is rotated before the token expires.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, header};
use kube::client::Body;
use parking_lot::Mutex;
use tower::BoxError;

/// Age at which the file is read again. client-go reads it once a minute, too.
const FRESH: Duration = Duration::from_mins(1);

/// Adds the token of a file to every request. The client library would include the line break at its end, which no
/// header can contain.
#[derive(Clone, Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    last: Arc<Mutex<Option<(Instant, HeaderValue)>>>,
}

impl TokenFile {
    /// Creates the reader; does not read the file yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, last: Arc::default() }
    }

    /// Returns the header with the token, at most a minute old; an older one if the file no longer holds any.
    ///
    /// # Errors
    /// If no token was ever read. The message does not contain the file's content.
    pub(crate) fn header(&self, now: Instant) -> Result<HeaderValue, String> {
        let mut last = self.last.lock();
        if let Some((read_at, header)) = last.as_ref()
            && now.saturating_duration_since(*read_at) < FRESH
        {
            return Ok(header.clone());
        }
        let read = self.read().or_else(|cause| last.as_ref().map(|(_, header)| header.clone()).ok_or(cause));
        *last = read.as_ref().ok().map(|header| (now, header.clone()));
        read
    }

    fn read(&self) -> Result<HeaderValue, String> {
        let path = self.path.display();
        let text = std::fs::read_to_string(&self.path)
            .map_err(|cause| format!("the token file {path} cannot be read: {cause}"))?;
        bearer(text.trim())
            .ok_or_else(|| format!("the token file {path} contains no token that is valid in an HTTP header"))
    }

    /// Adds the token to the request.
    ///
    /// # Errors
    /// The errors of [`header`](Self::header).
    pub(crate) fn sign(&self, mut request: http::Request<Body>) -> Result<http::Request<Body>, BoxError> {
        request.headers_mut().insert(header::AUTHORIZATION, self.header(Instant::now())?);
        Ok(request)
    }
}

/// Returns the header with this token (RFC 6750, section 2.1); `None` if it is empty, or not valid in a header.
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| !token.is_empty())?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_loses_the_blanks_around_it_and_is_read_again_after_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let file = TokenFile::new(path.clone());
        let start = Instant::now();
        std::fs::write(&path, "first\r\n").unwrap();
        assert_eq!(file.header(start).unwrap(), "Bearer first");
        std::fs::write(&path, " second \n\n").unwrap();
        assert_eq!(file.header(start + Duration::from_secs(59)).unwrap(), "Bearer first");
        assert_eq!(file.header(start + Duration::from_mins(1)).unwrap(), "Bearer second");
        for unusable in ["", "\n", "a\nb"] {
            std::fs::write(&path, unusable).unwrap();
            assert_eq!(file.header(start + Duration::from_mins(9)).unwrap(), "Bearer second");
        }
    }

    #[test]
    fn a_file_that_is_not_a_token_is_an_error_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let refused = || TokenFile::new(path.clone()).header(Instant::now()).unwrap_err();
        assert!(refused().contains("cannot be read"));
        for unusable in ["", " \n", "hunter2\nhunter2", "\u{1}hunter2"] {
            std::fs::write(&path, unusable).unwrap();
            assert!(refused().contains("contains no token") && !refused().contains("hunter2"));
        }
    }
}
