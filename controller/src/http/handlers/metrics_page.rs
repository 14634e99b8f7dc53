//! `/metrics`: one page at a time is rendered, on a blocking thread. Few pages are in memory, however many answers nobody reads.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;
use tokio::task::JoinError;

/// Limit of pages in memory. A page takes some megabytes if there are many objects with long names.
const MAX_PAGES: usize = 3;

/// Renders the page. All requests that wait at the same time get the same page.
pub(crate) struct Page {
    render: Arc<dyn Fn() -> String + Send + Sync>,
    /// The last page, and the time at which its rendering began.
    last: Arc<Mutex<Option<(Instant, Bytes)>>>,
    /// One reference for each page in memory.
    pages: Arc<()>,
}

/// The text of a page, until it has been sent to everybody who asked for it.
struct HeldPage {
    text: String,
    _page: Arc<()>,
}

impl AsRef<[u8]> for HeldPage {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Page {
    pub(crate) fn new(render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { render: Arc::new(render), last: Arc::default(), pages: Arc::default() }
    }

    /// Returns a page whose rendering began after this call; the last one if too many clients have not read theirs yet, for
    /// which they have little time.
    async fn fresh(&self) -> Result<Bytes, JoinError> {
        let asked = Instant::now();
        let mut last = Arc::clone(&self.last).lock_owned().await;
        let are_many = Arc::strong_count(&self.pages) > MAX_PAGES;
        if let Some((_, page)) = last.as_ref().filter(|(begun, _)| are_many || *begun >= asked) {
            return Ok(page.clone());
        }
        let (render, held) = (Arc::clone(&self.render), Arc::clone(&self.pages));
        // The lock is moved into the task: the next request waits even if this one was cancelled.
        let rendering = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let mut text = render();
            text.shrink_to_fit();
            let page = Bytes::from_owner(HeldPage { text, _page: held });
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
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use futures::future::try_join_all;
    use futures::poll;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn few_pages_are_in_memory_though_nobody_reads_them_and_each_is_new_once_they_are_read() {
        let rendered = AtomicUsize::new(0);
        let page = Page::new(move || rendered.fetch_add(1, Ordering::SeqCst).to_string());
        let mut unread = Vec::new();
        for _ in 0..50 {
            unread.push(page.fresh().await.unwrap());
        }
        let distinct: BTreeSet<_> = unread.iter().collect();
        assert!(distinct.len() <= MAX_PAGES, "{distinct:?}");
        let last = unread.pop().unwrap();
        drop(unread);
        assert_ne!(page.fresh().await.unwrap(), last);
    }

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
