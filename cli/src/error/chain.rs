//! Errors with their causes, without the secrets that some of them quote.

use kube::client::AuthError;

/// The message of an error and of all its sources, joined as Go does. The innermost names the cause.
pub(crate) fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(words) = words_for_secrets(error) {
        return words;
    }
    let mut text = error.to_string();
    let mut source = error.source();
    // kube's own word for "the request failed", which says nothing.
    if let Some(inner) = source.filter(|_| text.starts_with("ServiceError: ")) {
        text = inner.to_string();
        source = inner.source();
    }
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.extend([": ", &words]);
        }
        source = cause.source();
    }
    text
}

/// A fixed message for errors that quote credentials or responses.
fn words_for_secrets(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<AuthError>() {
            return Some("the kubeconfig's auth provider gives no usable token; log in again".to_owned());
        }
        let cause = match error.downcast_ref::<kube::Error>() {
            Some(kube::Error::SerdeError(cause)) => Some(cause),
            _ => error.downcast_ref::<serde_json::Error>(),
        };
        if let Some(cause) = cause {
            let (line, column) = (cause.line(), cause.column());
            return Some(format!("the answer cannot be read (line {line}, column {column})"));
        }
        if error.is::<kube::client::RustlsTlsError>() && error.to_string().starts_with("identity PEM") {
            return Some("the client certificate or its key cannot be used".to_owned());
        }
        next = error.source();
    }
    None
}
