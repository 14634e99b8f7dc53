//! What can go wrong, by who can mend it.

use sealed_secrets_core::diagnosis::Diagnosis;
use sealed_secrets_core::opening::OpeningError;
use sealed_secrets_core::template::Class;
use sealed_secrets_core::unseal::UnsealError;
use thiserror::Error;

use crate::args::ListenAddress;
use crate::client;

/// Bytes of what is said of one failure: it stands in each condition, which are stored with the object.
const LONGEST_MESSAGE: usize = 8 << 10;

/// The reason of the condition where the templates took too long: a generation that has it is never rendered again.
pub(crate) const OUT_OF_TIME: &str = "TemplateOutOfTime";

/// Why the controller cannot start or go on.
#[derive(Debug, Error)]
pub enum StartError {
    /// No way to the API server is configured.
    #[error("no cluster to work for: {0}. Run in a Pod with a service account, or give --kubeconfig")]
    Configuration(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {cause}. Choose another address with --{flag}")]
    Listen {
        /// The address.
        address: ListenAddress,
        /// The flag that sets it.
        flag: &'static str,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The asynchronous runtime cannot start.
    #[error("cannot start: {0}")]
    Runtime(#[from] std::io::Error),
    /// A part that never ends has ended.
    #[error("{0} stopped; the controller cannot go on without it")]
    Stopped(&'static str),
}

/// Why a SealedSecret is not what its Secret is. Messages are shown in status and events; none carries plaintext.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The object does not have the shape of a SealedSecret.
    #[error("the object is not a valid SealedSecret: {0}")]
    Malformed(String),
    /// It makes no Secret.
    #[error("{0}")]
    Unseal(#[from] UnsealError),
    /// It does not open. Upstream's sentence comes first; what was found out follows, a line for each item.
    #[error("{error}{}", diagnosis.as_ref().map_or_else(String::new, |found| format!("\n{found}")))]
    Unopened {
        /// Which items, and why.
        error: OpeningError,
        /// What was found out.
        diagnosis: Option<Diagnosis>,
    },
    /// It would become a sealing key.
    #[error("a SealedSecret in the controller's namespace must not create a sealing key: {0}")]
    KeyPlanting(&'static str),
    /// Its Secret would have a type that a flag denies. The type is not named: it may be sealed.
    #[error(
        "this controller writes no Secret of the type that this one has (--deny-secret-types): choose another in spec.template.type"
    )]
    TypeDenied,
    /// A Secret of that name belongs to somebody else; upstream's words.
    #[error("Resource {0:?} already exists and is not managed by SealedSecret")]
    NotOurs(String),
    /// The Secret is immutable and differs.
    #[error(
        "the Secret is immutable and its content can not be changed: delete the Secret, and it is created anew"
    )]
    Immutable,
    /// The Secret has another type; the API server never changes that.
    #[error(
        "the type of an existing Secret can not be changed: delete the Secret, and it is created anew with the type of the template"
    )]
    TypeFixed,
    /// The namespace of the Secret is being deleted, or is gone.
    #[error("its namespace is being deleted, so no Secret is made in it")]
    NamespaceTerminating,
    /// The API server refused or could not be reached.
    #[error("{message}")]
    Api {
        /// What is told of that.
        message: String,
        /// Whether it may say otherwise when asked again for the same.
        transient: bool,
        /// Whether an admission policy or webhook has denied it, which may change unseen.
        denied: bool,
        /// True where the account lacks a right, which concerns every object of the namespace.
        lacks_right: bool,
    },
    /// What became of the object cannot be told.
    #[error("the status cannot be written: {0}")]
    Status(String),
    /// A defect of ours; the object is tried again later.
    #[error("internal error while handling this object; please report it")]
    Panicked,
}

impl Failure {
    /// The API server's answer about a SealedSecret, in its own words. Those about a Secret are never told: `refusal` says
    /// what is.
    #[must_use]
    pub(crate) fn api(error: &kube::Error) -> Self {
        let transient = !matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 413 | 422));
        let lacks_right =
            matches!(error, kube::Error::Api(status) if client::says_that_right_is_missing(status));
        Self::Api { message: client::in_words(error), transient, denied: false, lacks_right }
    }

    /// A failure that may be gone at the next attempt.
    #[must_use]
    pub(crate) fn temporary(message: String) -> Self {
        Self::Api { message, transient: true, denied: false, lacks_right: false }
    }

    /// This failure was to write a status.
    #[must_use]
    pub(crate) fn of_status(self) -> Self {
        Self::Status(self.to_string())
    }

    /// Whether the next attempt may succeed although nothing that we watch has changed.
    #[must_use]
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Panicked | Self::Status(_) | Self::NamespaceTerminating | Self::Api { transient: true, .. }
        )
    }

    /// True for a missing right: a failure of the namespace and not of the object.
    #[must_use]
    pub(crate) fn lacks_right(&self) -> bool {
        matches!(self, Self::Api { lacks_right: true, .. })
    }

    fn is_out_of_time(&self) -> bool {
        matches!(self, Self::Unseal(UnsealError::Template(error)) if error.class == Class::Expired)
    }

    /// Whether only a change of the SealedSecret or of the key ring can help.
    #[must_use]
    pub(crate) fn waits_for_a_change(&self) -> bool {
        let is_about_the_object =
            matches!(self, Self::Malformed(_) | Self::Unseal(_) | Self::Unopened { .. });
        is_about_the_object && !self.is_transient()
    }

    /// Whether only a change of the SealedSecret or of its Secret can help. What an admission policy or webhook has denied is
    /// none of these: both may change unseen.
    #[must_use]
    pub(crate) fn waits_for_its_secret(&self) -> bool {
        match self {
            Self::NotOurs(_)
            | Self::KeyPlanting(_)
            | Self::TypeDenied
            | Self::Immutable
            | Self::TypeFixed => true,
            Self::Api { transient, denied, .. } => !transient && !denied,
            _ => false,
        }
    }

    /// The reason of the event, one of upstream's two.
    #[must_use]
    pub(crate) fn event_reason(&self) -> &'static str {
        match self {
            Self::Malformed(_)
            | Self::Unseal(_)
            | Self::Unopened { .. }
            | Self::KeyPlanting(_)
            | Self::TypeDenied
            | Self::Panicked => "ErrUnsealFailed",
            Self::NotOurs(_)
            | Self::Immutable
            | Self::TypeFixed
            | Self::NamespaceTerminating
            | Self::Api { .. }
            | Self::Status(_) => "ErrUpdateFailed",
        }
    }

    /// The label of the error metric, one of upstream's.
    #[must_use]
    pub(crate) fn metric_reason(&self) -> &'static str {
        match self {
            Self::Malformed(_)
            | Self::Unseal(_)
            | Self::Unopened { .. }
            | Self::KeyPlanting(_)
            | Self::TypeDenied
            | Self::Panicked => "unseal",
            Self::NotOurs(_) => "unmanaged",
            Self::Immutable | Self::TypeFixed | Self::NamespaceTerminating | Self::Api { .. } => "update",
            Self::Status(_) => "status",
        }
    }

    /// The message of the condition: upstream prefixes what it could not write.
    #[must_use]
    pub(crate) fn condition_message(&self) -> String {
        let text = if self.is_of_update() { format!("failed update: {self}") } else { self.to_string() };
        at_most(LONGEST_MESSAGE, text)
    }

    /// The message of the event, which is shorter still.
    #[must_use]
    pub(crate) fn event_message(&self) -> String {
        match self {
            // Upstream's sentence comes first.
            Self::Immutable => format!("the target Secret is immutable: {self}"),
            _ if self.is_of_update() => at_most(LONGEST_MESSAGE, self.to_string()),
            _ => self.log_message(),
        }
    }

    /// The message of the log line.
    #[must_use]
    pub(crate) fn log_message(&self) -> String {
        let text = if self.is_of_update() {
            format!("Failed to update: {self}")
        } else {
            format!("Failed to unseal: {self}")
        };
        at_most(LONGEST_MESSAGE, text)
    }

    fn is_of_update(&self) -> bool {
        self.event_reason() == "ErrUpdateFailed"
    }

    /// The reason of the condition.
    #[must_use]
    pub(crate) fn condition_reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "Malformed",
            _ if self.is_out_of_time() => OUT_OF_TIME,
            Self::Unseal(_) | Self::Unopened { .. } => "UnsealFailed",
            Self::KeyPlanting(_) => "KeyPlantingRefused",
            Self::TypeDenied => "TypeDenied",
            Self::NotOurs(_) => "NotManaged",
            Self::Immutable => "Immutable",
            Self::TypeFixed => "TypeFixed",
            Self::NamespaceTerminating => "NamespaceTerminating",
            Self::Api { .. } | Self::Status(_) => "UpdateFailed",
            Self::Panicked => "InternalError",
        }
    }
}

/// The text, or the beginning of it and an ellipsis.
fn at_most(bytes: usize, mut text: String) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use sealed_secrets_core::template::TemplateError;

    use super::*;

    fn template_failure(class: Class) -> Failure {
        let key = "url".to_owned();
        let error = TemplateError { key, line: 1, column: 1, function: None, class, reason: "too slow" };
        Failure::Unseal(error.into())
    }

    #[test]
    fn a_template_that_ran_out_of_time_waits_for_a_change_as_one_that_is_wrong_does() {
        for (class, reason) in [(Class::Expired, OUT_OF_TIME), (Class::Syntax, "UnsealFailed")] {
            let failure = template_failure(class);
            assert!(!failure.is_transient() && failure.waits_for_a_change(), "{class}");
            assert_eq!(failure.condition_reason(), reason);
        }
    }

    #[test]
    fn no_failure_is_told_at_any_length() {
        let failures = [Failure::Malformed("é".repeat(100_000)), Failure::temporary("x".repeat(100_000))];
        for failure in failures {
            for message in [failure.condition_message(), failure.event_message()] {
                assert!(message.len() <= LONGEST_MESSAGE + '…'.len_utf8() && message.ends_with('…'));
            }
        }
    }

    fn api_failure(code: u16, message: &str) -> Failure {
        let status =
            kube::core::Status { code, message: message.to_owned(), ..kube::core::Status::default() };
        Failure::api(&kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn what_the_api_server_refuses_for_good_is_told_from_what_it_refuses_now() {
        for code in [400, 413, 422] {
            assert!(!api_failure(code, "no").is_transient(), "{code}");
        }
        for code in [403, 404, 409, 429, 500, 503] {
            assert!(api_failure(code, "no").is_transient(), "{code}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_quoted() {
        let error = serde_json::from_str::<u8>("\"CANARY\"").unwrap_err();
        assert!(error.to_string().contains("CANARY"), "otherwise there is nothing to hide");
        let failure = Failure::api(&kube::Error::SerdeError(error));
        assert!(failure.is_transient() && !failure.log_message().contains("CANARY"));
    }

    #[test]
    fn a_status_that_cannot_be_written_is_counted_as_such() {
        let failure = api_failure(500, "no").of_status();
        assert_eq!((failure.metric_reason(), failure.is_transient()), ("status", true));
        assert_eq!(api_failure(500, "no").metric_reason(), "update");
    }

    #[test]
    fn the_event_of_an_immutable_secret_begins_with_the_sentence_of_the_original() {
        let event = Failure::Immutable.event_message();
        assert!(event.starts_with("the target Secret is immutable"), "{event}");
        assert!(event.contains("delete the Secret"), "{event}");
    }
}
