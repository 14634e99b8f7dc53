//! What is worth a line in the log about a watch that fails.

use kube::runtime::watcher::{Error, Event};

/// Remembers what was said since the watch last worked: a missing right or CRD fails every few seconds for the same reason.
#[derive(Debug, Default)]
pub(super) struct News {
    said: Option<String>,
}

impl News {
    /// Whether this is anything but the last error once more.
    pub(super) fn is_new<K>(&mut self, event: &Result<Event<K>, Error>) -> bool {
        match event {
            Err(error) => {
                let text = error.to_string();
                self.said.replace(text.clone()) != Some(text)
            }
            // A list that only begins may fail again.
            Ok(Event::Init | Event::InitApply(_)) => true,
            Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_)) => {
                self.said = None;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(message: &str) -> Result<Event<()>, Error> {
        let status = kube::core::Status { message: message.to_owned(), ..kube::core::Status::default() };
        Err(Error::InitialListFailed(kube::Error::Api(Box::new(status))))
    }

    #[test]
    fn the_same_error_is_said_once_until_the_watch_has_worked() {
        let mut news = News::default();
        let events =
            [error("no right"), Ok(Event::Init), error("no right"), error("no CRD"), Ok(Event::InitDone)];
        assert_eq!(events.map(|event| news.is_new(&event)), [true, true, false, true, true]);
        assert!(news.is_new(&error("no CRD")));
    }
}
