//! Refusals of writes by the API server and its admission, without the words of the answer: they may quote the object. Pure.

pub(crate) mod size_limit;

use kube::core::Status;
use kube::core::response::reason::is_known;
use sealed_secrets_core::names::refused_name;

use crate::api::client;

/// The component that denies a write, as far as the answer names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denier {
    /// An admission webhook of this name.
    Webhook(String),
    /// A `ValidatingAdmissionPolicy` of this name.
    Policy(String),
    /// A `ResourceQuota`.
    Quota,
    /// Authorization: the account lacks a permission.
    Authorization,
}

impl Denier {
    /// Returns the component that denies the write of the Secret of this name. Words of the answer only select one; a name is
    /// that of an object of the cluster, which the API server puts before the words of others.
    pub(crate) fn of(status: &Status, name: &str) -> Option<Self> {
        let message = status.message.as_str();
        if let Some(webhook) = quoted(message, "admission webhook \"", "\" denied the request") {
            return Some(Self::Webhook(webhook.to_owned()));
        }
        let forbidden = message.strip_prefix(&format!("secrets \"{name}\" is forbidden: "));
        if let Some(policy) =
            forbidden.and_then(|rest| quoted(rest, "ValidatingAdmissionPolicy '", "' with binding '"))
        {
            return Some(Self::Policy(policy.to_owned()));
        }
        if forbidden.is_some_and(|rest| rest.starts_with("exceeded quota: ")) {
            return Some(Self::Quota);
        }
        client::is_permission_missing(status).then_some(Self::Authorization)
    }
}

/// Returns code and reason; a webhook may give any reason, so only those that Kubernetes defines are shown.
pub(crate) fn answer(status: &Status) -> String {
    let reason = Some(status.reason.as_str()).filter(|reason| !reason.is_empty() && is_known(reason));
    reason.map_or_else(|| status.code.to_string(), |reason| format!("{} {reason}", status.code))
}

/// Returns the message about a refused write of the key Secret of this name.
pub(crate) fn of_key_secret(error: &kube::Error, name: &str) -> String {
    let kube::Error::Api(status) = error else { return client::describe(error) };
    let answer = answer(status);
    match Denier::of(status, name) {
        Some(Denier::Webhook(webhook)) => format!("the admission webhook {webhook} denies it ({answer})"),
        Some(Denier::Policy(policy)) => {
            format!("the ValidatingAdmissionPolicy {policy} denies it ({answer})")
        }
        Some(Denier::Quota) => {
            format!("a ResourceQuota of the namespace allows no further Secret ({answer})")
        }
        Some(Denier::Authorization) => format!(
            "the controller's account lacks a permission on Secrets of its own namespace ({answer}); grant the permissions that \
             deploy/ grants"
        ),
        None => format!(
            "the API server refuses it ({answer}); its message may quote the private key, so it is not shown"
        ),
    }
}

/// Returns the name of an object between `before`, with which the text begins, and `after`.
fn quoted<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (name, _) = text.strip_prefix(before)?.split_once(after)?;
    refused_name(name).is_none().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters that occur nowhere else.
    const CANARY: &str = "ꙮꙭ";

    #[test]
    fn no_word_of_an_answer_about_a_key_secret_is_repeated() {
        let denials = [
            (
                "admission webhook \"w.example.com\" denied the request: ꙮ",
                "the admission webhook w.example.com denies it",
            ),
            (
                "secrets \"key\" is forbidden: ValidatingAdmissionPolicy 'p.example.com' with binding 'b' denied request: ꙮ",
                "the ValidatingAdmissionPolicy p.example.com denies it",
            ),
            ("secrets \"key\" is forbidden: exceeded quota: ꙮ", "a ResourceQuota of the namespace"),
            (
                "secrets \"key\" is forbidden: User \"ꙮ\" cannot create resource",
                "lacks a permission on Secrets",
            ),
            ("ꙮ", "the API server refuses it"),
        ];
        for code in [400, 403, 422, 429, 500, 503] {
            for (message, expected) in denials {
                // Authorization is known by its reason.
                let reason = if expected.contains("permission") { "Forbidden" } else { CANARY };
                let status = Status::failure(message, reason).with_code(code);
                let text = of_key_secret(&kube::Error::Api(Box::new(status)), "key");
                assert!(text.contains(expected), "{text}");
                assert!(text.contains(&code.to_string()) && !text.contains(['ꙮ', 'ꙭ']), "{text}");
            }
        }
    }
}
