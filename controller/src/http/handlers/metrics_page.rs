//! `/metrics`: one page at a time is rendered, on a blocking thread.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;
use tokio::task::JoinError;

/// Renders the page. All requests that wait at the same time get the same page.
pub(crate) struct Page {
    render: Arc<dyn Fn() -> String + Send + Sync>,
    /// The last page, and the time at which its rendering began.
    last: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

impl Page {
    pub(crate) fn new(render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { render: Arc::new(render), last: Arc::default() }
    }

    /// Returns a page whose rendering began after this call.
    async fn fresh(&self) -> Result<Bytes, JoinError> {
        let asked = Instant::now();
        let mut last = Arc::clone(&self.last).lock_owned().await;
        if let Some((_, page)) = last.as_ref().filter(|(begun, _)| *begun >= asked) {
            return Ok(page.clone());
        }
        let render = Arc::clone(&self.render);
        // The lock is moved into the task: the next request waits even if this one was cancelled.
        let rendering = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let page = Bytes::from(render());
            *last = Some((begun, page.clone()));
            page
        });
        rendering.await
    }
}

/// `/metrics`, in the text format that upstream answers to every scraper.
pub(crate) async fn metrics(State(page): State<Arc<Page>>) -> Response {
    match page.fresh().await {
        Ok(page) => ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use futures::future::try_join_all;
    use futures::poll;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn concurrent_scrapes_share_one_rendering_that_blocks_no_other_request() {
        let (begun, rendered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let ((begins, has_begun), (go_on, may_go_on)) = (mpsc::channel(), mpsc::channel());
        let may_go_on = Mutex::new(may_go_on);
        let counts = (Arc::clone(&begun), Arc::clone(&rendered));
        let page = Page::new(move || {
            assert_eq!(
                counts.0.fetch_add(1, Ordering::SeqCst),
                counts.1.load(Ordering::SeqCst),
                "one at a time"
            );
            begins.send(()).unwrap();
            may_go_on.lock().unwrap().recv_timeout(LONG).unwrap();
            counts.1.fetch_add(1, Ordering::SeqCst).to_string()
        });
        let mut abandoned = Box::pin(page.fresh());
        assert!(poll!(&mut abandoned).is_pending(), "rendering does not keep the caller's thread");
        has_begun.recv_timeout(LONG).unwrap();
        let mut waiting: Vec<_> = (0..50).map(|_| Box::pin(page.fresh())).collect();
        for request in &mut waiting {
            assert!(poll!(request).is_pending());
        }
        drop(abandoned);
        go_on.send(()).unwrap();
        go_on.send(()).unwrap();
        let pages = try_join_all(waiting).await.unwrap();
        assert!(
            pages.iter().all(|page| page == "1"),
            "the page that was begun before is nobody's: {pages:?}"
        );
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }
}
