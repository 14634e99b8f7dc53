//! Log lines of a failing watch, without repetitions.

use kube::runtime::watcher::{Error, Event};

/// The last error since the watch last worked: a missing permission or CRD fails every few seconds for the same reason.
#[derive(Debug, Default)]
pub(crate) struct LogDedup {
    logged: Option<String>,
}

impl LogDedup {
    /// Records the event, and returns false if it only repeats the last error.
    pub(crate) fn record<K>(&mut self, event: &Result<Event<K>, Error>) -> bool {
        match event {
            Err(error) => {
                let text = error.to_string();
                self.logged.replace(text.clone()) != Some(text)
            }
            // A list that only begins may fail again.
            Ok(Event::Init | Event::InitApply(_)) => true,
            Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_)) => {
                self.logged = None;
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
    fn the_same_error_is_logged_once_until_the_watch_has_worked() {
        let mut log_dedup = LogDedup::default();
        let events = [
            error("no permission"),
            Ok(Event::Init),
            error("no permission"),
            error("no CRD"),
            Ok(Event::InitDone),
        ];
        assert_eq!(events.map(|event| log_dedup.record(&event)), [true, true, false, true, true]);
        assert!(log_dedup.record(&error("no CRD")));
    }
}
