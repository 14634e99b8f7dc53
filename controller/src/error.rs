//! Failures of SealedSecrets: their class for the retry policy, their messages, and their names elsewhere. The decision about a
//! retry is `sealed_secret::reconcile::retry`; the wait before it is `sealed_secret::queue::retry_backoff`.

use sealed_secrets_core::decryption::DecryptionError;
use sealed_secrets_core::diagnosis::Diagnosis;
use sealed_secrets_core::template::{self, TemplateError};
use sealed_secrets_core::text::prefix;
use sealed_secrets_core::unseal::UnsealError;
use thiserror::Error;

use crate::api::client;

/// Longest message of a failure in bytes: it is stored in the object, and kept in memory.
const MAX_MESSAGE_LENGTH: usize = 4 << 10;
/// Longest message of the conditions for other tools, in bytes.
const MAX_SUMMARY_LENGTH: usize = 512;

/// Reason of the condition if the templates exceeded their time: a generation with this reason is never rendered again.
pub(crate) const OUT_OF_TIME: &str = "TemplateOutOfTime";

/// The reason why a Secret does not match its SealedSecret. Messages are shown in status and events; none contains
/// plaintext.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The object is not a well-formed SealedSecret.
    #[error("the object is not a valid SealedSecret: {0}")]
    Malformed(String),
    /// No Secret can be made from the decrypted object.
    #[error("{0}")]
    Unseal(#[from] UnsealError),
    /// Items do not decrypt. Upstream's message comes first; the diagnosis follows, one line per item.
    #[error("{error}{}", diagnosis.as_ref().map_or_else(String::new, |found| format!("\n{found}")))]
    Undecryptable {
        /// The items and their errors.
        error: DecryptionError,
        /// The likely causes, as far as they were found.
        diagnosis: Option<Diagnosis>,
    },
    /// The Secret would be a sealing key.
    #[error("a SealedSecret in the controller's namespace must not create a sealing key: {0}")]
    KeyPlanting(&'static str),
    /// The type of the Secret is denied by a flag. The message does not contain the type: it may be sealed.
    #[error(
        "the controller is configured not to write Secrets of this type (--deny-secret-types): choose another type in spec.template.type"
    )]
    TypeDenied,
    /// The memory for SealedSecrets is used up.
    #[error(
        "the controller's memory for SealedSecrets is used up, so it does not process this one: raise its memory limit \
         (resources.limits.memory), or delete SealedSecrets; it is then processed automatically"
    )]
    OverMemoryLimit,
    /// The object has so many fields that it alone would exceed the memory for work.
    #[error(
        "the SealedSecret has tens of thousands of fields, more than the controller's memory holds: divide it into several"
    )]
    TooManyFields,
    /// A Secret of that name exists and belongs to another owner. Upstream's message.
    #[error("Resource {0:?} already exists and is not managed by SealedSecret")]
    NotOurs(String),
    /// The existing Secret is immutable and differs.
    #[error(
        "the Secret is immutable and its content cannot be changed: delete the Secret to have it recreated"
    )]
    Immutable,
    /// The existing Secret has another type, which the API server never changes.
    #[error(
        "the type of an existing Secret cannot be changed: delete the Secret to have it recreated with the type of the template"
    )]
    TypeFixed,
    /// The namespace of the Secret is being deleted, or does not exist.
    #[error("the namespace is being deleted, so no Secret is created in it")]
    NamespaceTerminating,
    /// The API server refused the request or could not be reached.
    #[error("{message}")]
    Api {
        /// The message that is shown.
        message: String,
        /// True if the same request may succeed later.
        transient: bool,
        /// True if an admission policy or webhook denied the request. Both may change without a notification.
        denied: bool,
        /// True if the account lacks a permission, which affects every object of the namespace.
        lacks_permission: bool,
    },
    /// The status cannot be written.
    #[error("the status cannot be written: {0}")]
    Status(String),
    /// A bug in the controller. The object is retried later.
    #[error("internal error while handling this object; please report it")]
    Panicked,
}

/// Time of the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// After the back-off: the cause may go away on its own.
    Soon,
    /// After the back-off, although the cause stays until a user acts. No watch shows that.
    Stalled,
    /// After a change of the SealedSecret or the key ring.
    AfterChange,
    /// After a change of the SealedSecret or its Secret.
    AfterSecretChange,
}

/// Names of a failure in events, metrics and conditions, and the time of the next attempt.
#[derive(Debug)]
pub(crate) struct Class {
    /// Reason of the event, one of upstream's two.
    pub(crate) event: &'static str,
    /// Label `reason` of the error metric, one of [`Self::METRICS`].
    pub(crate) metric: &'static str,
    /// Reason of the condition.
    pub(crate) condition: &'static str,
    pub(crate) retry: Retry,
    prefix: Prefix,
}

/// Beginnings of the messages of a failure, which are upstream's.
#[derive(Debug)]
struct Prefix {
    log: &'static str,
    event: &'static str,
    condition: &'static str,
}

impl Class {
    /// Values of the label `reason` of the error metric, all of them upstream's.
    pub(crate) const METRICS: [&str; 4] = ["unseal", "unmanaged", "update", "status"];

    const fn of_unseal(condition: &'static str, retry: Retry) -> Self {
        let prefix = Prefix { log: "Failed to unseal: ", event: "Failed to unseal: ", condition: "" };
        Self { event: "ErrUnsealFailed", metric: "unseal", condition, retry, prefix }
    }

    const fn of_update(condition: &'static str, retry: Retry) -> Self {
        let prefix = Prefix { log: "Failed to update: ", event: "", condition: "failed update: " };
        Self { event: "ErrUpdateFailed", metric: "update", condition, retry, prefix }
    }

    const fn with_metric(self, metric: &'static str) -> Self {
        Self { metric, ..self }
    }

    const fn with_event_prefix(self, event: &'static str) -> Self {
        Self { prefix: Prefix { event, ..self.prefix }, ..self }
    }
}

impl Failure {
    /// Creates a failure from the API server's answer about a SealedSecret, with the server's message. Messages about a
    /// Secret are never shown: module `refusal` replaces them.
    #[must_use]
    pub(crate) fn api(error: &kube::Error) -> Self {
        let transient = !matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 413 | 422));
        let lacks_permission =
            matches!(error, kube::Error::Api(status) if client::is_permission_missing(status));
        Self::Api { message: client::describe(error), transient, denied: false, lacks_permission }
    }

    /// Creates a failure that may succeed at the next attempt.
    #[must_use]
    pub(crate) fn temporary(message: String) -> Self {
        Self::Api { message, transient: true, denied: false, lacks_permission: false }
    }

    /// Returns the failure with short texts. They may quote a field of the object of any length, and are kept until the failure is
    /// reported, however slow the API server is.
    #[must_use]
    pub(crate) fn shortened(self) -> Self {
        let short = |text| at_most(MAX_MESSAGE_LENGTH, text);
        match self {
            Self::Malformed(text) => Self::Malformed(short(text)),
            Self::Unseal(UnsealError::Template(error)) => {
                UnsealError::from(TemplateError { key: short(error.key), ..error }).into()
            }
            Self::Api { message, transient, denied, lacks_permission } => {
                Self::Api { message: short(message), transient, denied, lacks_permission }
            }
            other => other,
        }
    }

    /// Turns a failure to write a status into [`Failure::Status`].
    #[must_use]
    pub(crate) fn of_status(self) -> Self {
        Self::Status(self.to_string())
    }

    /// Returns the names of this failure elsewhere, and the time of the next attempt.
    #[must_use]
    pub(crate) fn class(&self) -> &'static Class {
        use Retry::{AfterChange, AfterSecretChange, Soon, Stalled};
        match self {
            Self::Malformed(_) => const { &Class::of_unseal("Malformed", AfterChange) },
            Self::Unseal(_) if self.is_of_template(template::Class::Expired) => {
                const { &Class::of_unseal(OUT_OF_TIME, AfterChange) }
            }
            Self::Unseal(_) if self.is_of_template(template::Class::Interrupted) => {
                const { &Class::of_unseal("TemplateInterrupted", Soon) }
            }
            Self::Unseal(_) | Self::Undecryptable { .. } => {
                const { &Class::of_unseal("UnsealFailed", AfterChange) }
            }
            Self::KeyPlanting(_) => const { &Class::of_unseal("KeyPlantingRefused", AfterSecretChange) },
            Self::TypeDenied => const { &Class::of_unseal("TypeDenied", AfterSecretChange) },
            Self::TooManyFields => const { &Class::of_unseal("TooManyFields", AfterChange) },
            Self::OverMemoryLimit => const { &Class::of_unseal("OverMemoryLimit", Stalled) },
            Self::Panicked => const { &Class::of_unseal("InternalError", Soon) },
            Self::NotOurs(_) => {
                const { &Class::of_update("NotManaged", AfterSecretChange).with_metric("unmanaged") }
            }
            Self::Immutable => {
                const {
                    &Class::of_update("Immutable", AfterSecretChange)
                        .with_event_prefix("the target Secret is immutable: ")
                }
            }
            Self::TypeFixed => const { &Class::of_update("TypeFixed", AfterSecretChange) },
            Self::NamespaceTerminating => const { &Class::of_update("NamespaceTerminating", Soon) },
            Self::Api { transient: true, .. } => const { &Class::of_update("UpdateFailed", Soon) },
            // A policy or webhook may change without a notification.
            Self::Api { denied: true, .. } => const { &Class::of_update("UpdateFailed", Stalled) },
            Self::Api { .. } => const { &Class::of_update("UpdateFailed", AfterSecretChange) },
            Self::Status(_) => const { &Class::of_update("UpdateFailed", Soon).with_metric("status") },
        }
    }

    fn is_of_template(&self, class: template::Class) -> bool {
        matches!(self, Self::Unseal(UnsealError::Template(error)) if error.class == class)
    }

    /// Returns true for a missing permission: a failure of the namespace and not of the object.
    #[must_use]
    pub(crate) fn lacks_permission(&self) -> bool {
        matches!(self, Self::Api { lacks_permission: true, .. })
    }

    /// Returns the message of the condition. Upstream adds a prefix to failures of writes.
    #[must_use]
    pub(crate) fn condition_message(&self) -> String {
        self.message(self.class().prefix.condition)
    }

    /// Returns the message of the other conditions: the first line of [`Self::condition_message`].
    #[must_use]
    pub(crate) fn condition_summary(&self) -> String {
        let message = self.condition_message();
        at_most(MAX_SUMMARY_LENGTH, message.lines().next().unwrap_or_default().to_owned())
    }

    /// Returns the message of the event, which is shorter still.
    #[must_use]
    pub(crate) fn event_message(&self) -> String {
        self.message(self.class().prefix.event)
    }

    /// Returns the message of the log line.
    #[must_use]
    pub(crate) fn log_message(&self) -> String {
        self.message(self.class().prefix.log)
    }

    fn message(&self, prefix: &str) -> String {
        at_most(MAX_MESSAGE_LENGTH, format!("{prefix}{self}"))
    }
}

/// Truncates a text that is too long, and appends an ellipsis.
fn at_most(bytes: usize, mut text: String) -> String {
    if text.len() > bytes {
        text.truncate(prefix(&text, bytes).len());
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use sealed_secrets_core::template::{Class, TemplateError};

    use super::Failure;
    use super::{MAX_MESSAGE_LENGTH, MAX_SUMMARY_LENGTH, OUT_OF_TIME, Retry};

    fn template_failure(key: String, class: Class) -> Failure {
        let error = TemplateError { key, line: 1, column: 1, function: None, class, reason: "too slow" };
        Failure::Unseal(error.into())
    }

    #[test]
    fn a_failure_that_quotes_a_long_field_is_short_itself() {
        let long = "x".repeat(1 << 20);
        let of_template = template_failure(long.clone(), Class::Type);
        for failure in [Failure::Malformed(long.clone()), Failure::temporary(long), of_template] {
            let text = format!("{:?}", failure.shortened());
            assert!(text.len() > MAX_MESSAGE_LENGTH && text.len() < 2 * MAX_MESSAGE_LENGTH, "{}", text.len());
        }
    }

    #[test]
    fn a_template_that_ran_out_of_time_waits_for_a_change_as_one_that_is_wrong_does() {
        for (class, reason) in [(Class::Expired, OUT_OF_TIME), (Class::Syntax, "UnsealFailed")] {
            let failure = template_failure("url".to_owned(), class);
            assert_eq!(failure.class().retry, Retry::AfterChange, "{class}");
            assert_eq!(failure.class().condition, reason);
        }
    }

    #[test]
    fn a_template_that_waited_too_long_for_the_processor_is_tried_again() {
        let failure = template_failure("url".to_owned(), Class::Interrupted);
        assert_eq!(failure.class().retry, Retry::Soon);
        assert_eq!(failure.class().condition, "TemplateInterrupted");
    }

    #[test]
    fn failure_messages_are_truncated() {
        let failures = [Failure::Malformed("é".repeat(100_000)), Failure::temporary("x".repeat(100_000))];
        for failure in failures {
            for message in [failure.condition_message(), failure.event_message()] {
                assert!(message.len() <= MAX_MESSAGE_LENGTH + '…'.len_utf8() && message.ends_with('…'));
            }
            assert!(failure.condition_summary().len() <= MAX_SUMMARY_LENGTH + '…'.len_utf8());
        }
    }

    fn api_failure(code: u16, message: &str) -> Failure {
        let status =
            kube::core::Status { code, message: message.to_owned(), ..kube::core::Status::default() };
        Failure::api(&kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn permanent_and_transient_api_errors_are_distinguished() {
        for code in [400, 413, 422] {
            assert_ne!(api_failure(code, "no").class().retry, Retry::Soon, "{code}");
        }
        for code in [403, 404, 409, 429, 500, 503] {
            assert_eq!(api_failure(code, "no").class().retry, Retry::Soon, "{code}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_quoted() {
        let error = serde_json::from_str::<u8>("\"CANARY\"").unwrap_err();
        assert!(error.to_string().contains("CANARY"), "otherwise there is nothing to hide");
        let failure = Failure::api(&kube::Error::SerdeError(error));
        assert_eq!(failure.class().retry, Retry::Soon);
        assert!(!failure.log_message().contains("CANARY"));
    }

    #[test]
    fn a_status_that_cannot_be_written_is_counted_as_such() {
        let failure = api_failure(500, "no").of_status();
        assert_eq!((failure.class().metric, failure.class().retry), ("status", Retry::Soon));
        assert_eq!(api_failure(500, "no").class().metric, "update");
    }

    #[test]
    fn the_event_of_an_immutable_secret_begins_with_the_sentence_of_the_original() {
        let event = Failure::Immutable.event_message();
        assert!(event.starts_with("the target Secret is immutable"), "{event}");
        assert!(event.contains("delete the Secret"), "{event}");
    }
}
