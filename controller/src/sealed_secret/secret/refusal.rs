//! Messages about a Secret that the API server refuses. Pure.
//!
//! The Secret is decrypted, and the API server, admission policies and webhooks quote what they refuse. So none of their words is
//! ever shown, logged or counted: a message consists of the code, of known reasons, and of names that are public in the
//! SealedSecret.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::core::Status;
use sealed_secrets_crds::SealedSecret;

use super::rules::{self, broken_rules};
use crate::api::client;
use crate::api::refusal::{Denier, answer, size_limit};
use crate::error::Failure;

/// Parts of field paths that are the same in every Secret.
const FIELDS: [&str; 14] = [
    "annotations",
    "apiVersion",
    "data",
    "finalizers",
    "generateName",
    "immutable",
    "kind",
    "labels",
    "managedFields",
    "metadata",
    "name",
    "namespace",
    "ownerReferences",
    "type",
];
/// Prefix of the reasons of causes about an invalid field of the object itself.
const VALIDATION: &str = "FieldValue";
/// Maximum number of fields and broken rules that a message names.
const MAX_FIELDS: usize = 8;

/// A write of a Secret: the input of a message about it.
pub(crate) struct Written<'a> {
    pub(crate) sealed: &'a SealedSecret,
    pub(crate) secret: &'a Secret,
    /// The Secret to be replaced.
    pub(crate) existing: Option<&'a Secret>,
}

impl Written<'_> {
    /// Returns the failure for this error.
    pub(crate) fn failure(&self, error: &kube::Error) -> Failure {
        let kube::Error::Api(status) = error else { return Failure::temporary(client::describe(error)) };
        if client::is_namespace_terminating(status) {
            return Failure::NamespaceTerminating;
        }
        self.unchangeable(status).unwrap_or_else(|| self.refused(status))
    }

    /// Returns the failure for a change of an immutable field, if that is the cause.
    fn unchangeable(&self, status: &Status) -> Option<Failure> {
        let existing = self.existing.filter(|_| is_verdict_on_fields(status))?;
        let names = |field: &str| causes(status).any(|(_, named)| named == field);
        let is_immutable = existing.immutable == Some(true);
        if is_immutable && (names("data") || names("immutable")) {
            return Some(Failure::Immutable);
        }
        (names("type") && existing.type_ != self.secret.type_).then_some(Failure::TypeFixed)
    }

    fn refused(&self, status: &Status) -> Failure {
        let is_too_large = status.code == 413 || is_too_large_to_store(status);
        let is_permanent = is_too_large || matches!(status.code, 400 | 422);
        let breaks_rules = !self.broken_rules(status).is_empty();
        let may_change_unseen = !is_too_large && !is_verdict_on_fields(status) && !breaks_rules;
        let lacks_permission = client::is_permission_missing(status);
        let (message, denied) = (self.message(status), may_change_unseen);
        Failure::Api { message, transient: !is_permanent, denied, lacks_permission }
    }

    fn message(&self, status: &Status) -> String {
        let answer = answer(status);
        let broken = self.broken_rules(status);
        if !broken.is_empty() {
            return format!("the API server rejects the Secret ({answer}): {}", broken.join("; "));
        }
        if is_too_large_to_store(status) {
            return format!(
                "the Secret, with its labels and annotations, is larger than the API server can store ({answer}); divide it into several"
            );
        }
        match self.refuser(status) {
            Some(refuser) => format!("{refuser} ({answer})"),
            None if status.code >= 500 || status.code == 429 => {
                format!("the API server cannot write the Secret now ({answer}); the write is retried")
            }
            None => {
                let facts: Vec<_> = [answer].into_iter().chain(self.fields(status)).collect();
                format!(
                    "the API server refused the Secret ({}); its message may quote sealed values, so it is not shown. \
                     To read it, let a user with access to the Secret create the Secret with --dry-run=server",
                    facts.join(", ")
                )
            }
        }
    }

    /// Returns the rules for Secrets that ours breaks, if the API server refuses its content.
    fn broken_rules(&self, status: &Status) -> Vec<String> {
        // An answer that is too large is one about many fields.
        let is_about_content = status.code == 413
            || is_verdict_on_fields(status)
            || status.code == 422 && status.message == size_limit::TOO_LARGE;
        if !is_about_content {
            return Vec::new();
        }
        if !self.hides_names() {
            return broken_rules(self.secret).into_iter().take(MAX_FIELDS).collect();
        }
        // In the deprecated form everything is sealed, its type and the names of its items, too.
        let is_too_large = status.code == 413 || rules::is_too_large(self.secret);
        is_too_large.then(|| rules::TOO_LARGE.to_owned()).into_iter().collect()
    }

    /// Returns true if the names of items, labels and annotations, and the type, are sealed as well.
    fn hides_names(&self) -> bool {
        self.sealed.spec.data.is_some()
    }

    /// Returns a sentence about the component that refuses, if it is known.
    fn refuser(&self, status: &Status) -> Option<String> {
        let name = self.secret.metadata.name.as_deref().unwrap_or_default();
        Some(match Denier::of(status, name)? {
            Denier::Webhook(webhook) => {
                format!("the admission webhook {webhook} denies the Secret; ask its operator")
            }
            Denier::Policy(policy) => {
                format!("the ValidatingAdmissionPolicy {policy} denies the Secret; ask its author")
            }
            Denier::Quota => "exceeded quota: a ResourceQuota of the namespace allows no further Secret; raise it, or delete Secrets".to_owned(),
            Denier::Authorization => "the controller's account lacks a permission on Secrets of this namespace; grant the permissions that deploy/ grants".to_owned(),
        })
    }

    /// Returns the fields that the answer names, as far as their names are public in the SealedSecret.
    fn fields(&self, status: &Status) -> Vec<String> {
        let open = self.open_names();
        let fields: BTreeSet<String> = causes(status).map(|(_, field)| open_part(field, &open)).collect();
        fields.into_iter().filter(|field| !field.is_empty()).take(MAX_FIELDS).collect()
    }

    /// Returns the names of items, labels and annotations that are public in the SealedSecret.
    fn open_names(&self) -> BTreeSet<&str> {
        if self.hides_names() {
            return BTreeSet::new();
        }
        let (items, template) = (&self.sealed.spec.encrypted_data, &self.sealed.spec.template);
        let templates = template.data.iter().flatten().map(|(key, _)| key);
        let metadata = template.metadata.iter();
        let pairs = metadata.flat_map(|metadata| {
            metadata.labels.iter().chain(metadata.annotations.iter()).flatten().map(|(name, _)| name)
        });
        items.keys().chain(templates).chain(pairs).map(String::as_str).collect()
    }
}

/// Returns true if the API server itself has found fields of the object invalid: admission names none.
fn is_verdict_on_fields(status: &Status) -> bool {
    let mut causes = causes(status).peekable();
    let is_denial =
        ["denied the request", "denied request"].iter().any(|words| status.message.contains(words));
    let names_fields = causes.peek().is_some()
        && causes.all(|(reason, field)| reason.starts_with(VALIDATION) && !field.is_empty());
    status.code == 422 && names_fields && !is_denial
}

/// Returns true if etcd refuses the Secret for its size, or the API server's client of etcd does. Their whole message is compared:
/// that of a webhook has words of the API server before its own.
fn is_too_large_to_store(status: &Status) -> bool {
    const BY_ETCD: &str = "etcdserver: request is too large";
    const BY_ITS_CLIENT: &str =
        "rpc error: code = ResourceExhausted desc = trying to send message larger than max ";
    status.code == 500 && (status.message == BY_ETCD || status.message.starts_with(BY_ITS_CLIENT))
}

fn causes(status: &Status) -> impl Iterator<Item = (&str, &str)> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.map(|cause| (cause.reason.as_str(), cause.field.as_str()))
}

/// Returns the longest prefix of a field path that consists of fields of every Secret and of `open` names.
fn open_part(path: &str, open: &BTreeSet<&str>) -> String {
    let mut rest = path;
    loop {
        let separator = if rest.len() == path.len() { "" } else { "." };
        let Some(step) = rest.strip_prefix(separator) else { break };
        let name = step.split(['.', '[']).next().unwrap_or_default();
        if !FIELDS.contains(&name) {
            break;
        }
        rest = step.get(name.len()..).unwrap_or_default();
        let Some(index) = rest.strip_prefix('[') else { continue };
        let named = |name: &&&str| index.strip_prefix(**name).is_some_and(|after| after.starts_with(']'));
        let Some(name) = open.iter().filter(named).max_by_key(|name| name.len()) else { break };
        rest = index.get(name.len() + 1..).unwrap_or_default();
    }
    path.get(..path.len() - rest.len()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};
    use sealed_secrets_crds::SealedSecretSpec;
    use serde_json::{Value, json};

    use super::*;
    use crate::error::Retry;

    /// Characters that occur nowhere else.
    const CANARY: &str = "ꙮꙭ";

    fn sealed(spec: Value) -> SealedSecret {
        let spec: SealedSecretSpec = serde_json::from_value(spec).unwrap();
        SealedSecret::new("db", spec)
    }

    fn open() -> SealedSecret {
        let template = json!({"data": {"url": "x"}, "metadata": {"labels": {"team": "a"}}});
        sealed(json!({"encryptedData": {"password": "AAAA", "a/b": "AAAA"}, "template": template}))
    }

    fn secret(value: Value) -> Secret {
        let mut secret: Secret = serde_json::from_value(value).unwrap();
        secret.metadata.name = Some("db".to_owned());
        let text = secret.string_data.take().unwrap_or_default();
        let items = text.into_iter().map(|(key, value)| (key, k8s_openapi::ByteString(value.into_bytes())));
        secret.data = Some(items.collect());
        secret
    }

    fn status(code: u16, reason: &str, message: &str, causes: &[(&str, &str)]) -> Status {
        let causes = causes.iter().map(|&(reason, field)| StatusCause {
            reason: reason.to_owned(),
            message: CANARY.to_owned(),
            field: field.to_owned(),
        });
        let details = StatusDetails {
            name: "db".to_owned(),
            group: String::new(),
            kind: "Secret".to_owned(),
            uid: String::new(),
            causes: causes.collect(),
            retry_after_seconds: 0,
        };
        Status::failure(message, reason).with_code(code).with_details(details)
    }

    fn failure_of(
        sealed: &SealedSecret,
        secret: &Secret,
        existing: Option<&Secret>,
        status: Status,
    ) -> Failure {
        Written { sealed, secret, existing }.failure(&kube::Error::Api(Box::new(status)))
    }

    fn failure(status: Status) -> Failure {
        failure_of(
            &open(),
            &secret(json!({"type": "Opaque", "stringData": {"password": CANARY}})),
            None,
            status,
        )
    }

    fn texts(failure: &Failure) -> String {
        format!(
            "{} {} {} {failure:?}",
            failure.condition_message(),
            failure.event_message(),
            failure.log_message()
        )
    }

    fn has_none_of(text: &str, canary: &str) -> bool {
        !text.contains(|character| canary.contains(character))
    }

    #[test]
    fn no_word_of_an_answer_is_repeated_wherever_it_stands() {
        let message = format!("admission webhook \"{CANARY}\" denied the request: {CANARY}");
        let policy = format!(
            "secrets \"db\" is forbidden: ValidatingAdmissionPolicy '{CANARY}' with binding 'b' denied request: no"
        );
        let fields = [
            format!("data[{CANARY}]"),
            format!("metadata.labels[{CANARY}]"),
            format!("data.{CANARY}"),
            format!("data[password].{CANARY}"),
            format!("data[password{CANARY}]"),
            format!("data[password][{CANARY}]"),
            CANARY.to_owned(),
        ];
        for code in [400, 401, 403, 404, 405, 409, 413, 418, 422, 429, 500, 503] {
            for message in [CANARY, &message, &policy] {
                for reason in [CANARY, "Invalid", "FieldValueInvalid", ""] {
                    let causes: Vec<_> = fields.iter().map(|field| (reason, field.as_str())).collect();
                    let failure = failure(status(code, reason, message, &causes));
                    let texts = texts(&failure);
                    assert!(has_none_of(&texts, CANARY) && texts.contains(&code.to_string()), "{texts}");
                }
            }
        }
    }

    #[test]
    fn fields_are_named_as_far_as_they_stand_in_the_sealed_secret() {
        let cases = [
            ("data[password]", "data[password]"),
            ("data[url]", "data[url]"),
            ("data[a/b]", "data[a/b]"),
            ("metadata.labels[team]", "metadata.labels[team]"),
            ("metadata.labels", "metadata.labels"),
            ("data[pass]", "data"),
            ("data[password].further", "data[password]"),
            ("data[password]further", "data[password]"),
            ("metadata.labels[other]", "metadata.labels"),
            ("metadata.ownerReferences[0].name", "metadata.ownerReferences"),
            ("other", ""),
            ("", ""),
            (".data", ""),
            ("[password]", ""),
        ];
        let open = open();
        let secret = secret(json!({}));
        let written = Written { sealed: &open, secret: &secret, existing: None };
        let names = written.open_names();
        for (field, expected) in cases {
            assert_eq!(open_part(field, &names), expected, "{field}");
        }
        let message = texts(&failure(status(422, "Invalid", CANARY, &[("FieldValueInvalid", "data[a/b]")])));
        assert!(message.contains("(422 Invalid, data[a/b])"), "{message}");
    }

    #[test]
    fn a_refused_secret_from_spec_data_is_reported_without_its_items_and_type() {
        let v1 = sealed(json!({"data": "AAAA", "encryptedData": {"password": "AAAA"}}));
        let secret = secret(
            json!({"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{", CANARY: "x"}}),
        );
        for (code, field) in [(422, "data[password]"), (422, "data[.dockerconfigjson]"), (413, "data")] {
            let texts = texts(&failure_of(
                &v1,
                &secret,
                None,
                status(code, "Invalid", CANARY, &[("FieldValueInvalid", field)]),
            ));
            assert!(has_none_of(&texts, CANARY), "{texts}");
            assert!(!texts.contains("docker") && !texts.contains("password"), "{texts}");
        }
    }

    #[test]
    fn the_rule_that_a_secret_breaks_is_reported_in_our_words() {
        let cases = [
            (
                "kubernetes.io/dockerconfigjson",
                json!({".dockerconfigjson": format!("{{}}{CANARY}")}),
                "`.dockerconfigjson` is not valid JSON",
            ),
            ("kubernetes.io/dockercfg", json!({".dockercfg": CANARY}), "`.dockercfg` is not valid JSON"),
            (
                "kubernetes.io/dockercfg",
                json!({".dockercfg": format!("\"{CANARY}\"")}),
                "`.dockercfg` is not a JSON object",
            ),
            ("kubernetes.io/dockercfg", json!({}), "needs the item `.dockercfg`"),
            ("kubernetes.io/tls", json!({"tls.crt": CANARY}), "needs the item `tls.key`"),
            ("kubernetes.io/basic-auth", json!({"user": CANARY}), "needs the item `username` or `password`"),
            ("kubernetes.io/ssh-auth", json!({"ssh-privatekey": ""}), "needs the item `ssh-privatekey`"),
            (
                "kubernetes.io/service-account-token",
                json!({}),
                "needs the annotation kubernetes.io/service-account.name",
            ),
            ("Opaque", json!({"a/b": CANARY}), "the key \"a/b\""),
            ("Opaque", json!({"password": CANARY.repeat(400_000)}), "larger than the 1 MiB"),
        ];
        for (kind, data, expected) in cases {
            let secret = secret(json!({"type": kind, "stringData": data}));
            let message = texts(&failure_of(
                &open(),
                &secret,
                None,
                status(422, "Invalid", CANARY, &[("FieldValueInvalid", "data")]),
            ));
            assert!(message.contains(expected) && has_none_of(&message, CANARY), "{expected}: {message}");
        }
    }

    #[test]
    fn the_denying_policy_is_named_with_a_remedy() {
        let policy = "secrets \"db\" is forbidden: ValidatingAdmissionPolicy 'p.example.com' with binding 'b' denied request: ꙮ";
        let cases = [
            (422, "Invalid", policy, "the ValidatingAdmissionPolicy p.example.com denies"),
            (
                403,
                "Forbidden",
                "admission webhook \"w.example.com\" denied the request: ꙮ",
                "the admission webhook w.example.com denies",
            ),
            (
                403,
                "Forbidden",
                "secrets \"db\" is forbidden: exceeded quota: ꙮ, requested: secrets=1",
                "exceeded quota: a ResourceQuota",
            ),
            (
                403,
                "Forbidden",
                "secrets is forbidden: User \"u\" cannot create resource \"secrets\" in API group \"\"",
                "lacks a permission on Secrets",
            ),
            (503, "ServiceUnavailable", "ꙮ", "(503 ServiceUnavailable); the write is retried"),
            (500, "", "etcdserver: request is too large", "larger than the API server can store (500)"),
        ];
        for (code, reason, message, expected) in cases {
            let failure = failure(status(code, reason, message, &[]));
            assert_eq!(failure.lacks_permission(), expected.starts_with("lacks"), "{message}");
            let message = texts(&failure);
            assert!(message.contains(expected) && has_none_of(&message, CANARY), "{message}");
        }
    }

    #[test]
    fn a_permanent_refusal_is_recognised_by_the_structure_of_the_answer_in_any_words() {
        let new = secret(json!({"type": "b", "stringData": {"password": "new"}}));
        let judge = |existing: Value, field| {
            let status = status(422, "Invalid", CANARY, &[("FieldValueForbidden", field)]);
            failure_of(&open(), &new, Some(&secret(existing)), status)
        };
        assert!(matches!(judge(json!({"type": "b", "immutable": true}), "data"), Failure::Immutable));
        assert!(matches!(judge(json!({"type": "a"}), "type"), Failure::TypeFixed));
        assert!(matches!(judge(json!({"type": "b"}), "data"), Failure::Api { .. }));
        assert!(matches!(judge(json!({"type": "b"}), "type"), Failure::Api { .. }));
        let quoting = "data: Forbidden: field is immutable when `immutable` is set";
        assert!(matches!(failure(status(403, "Forbidden", quoting, &[])), Failure::Api { .. }));
    }

    #[test]
    fn an_invalid_secret_waits_for_a_change_and_one_denied_by_a_policy_does_not() {
        let waits = [
            (422, "", &[("FieldValueTooLong", "data")][..], true),
            (413, "", &[], true),
            (422, "", &[("", "")], false),
            (422, "admission webhook \"w\" denied the request: no", &[("FieldValueInvalid", "data")], false),
            (400, "admission webhook \"w\" denied the request: no", &[], false),
            (403, "", &[], false),
            (503, "", &[], false),
            (500, "etcdserver: request is too large", &[], true),
            (
                500,
                "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2 vs. 1)",
                &[],
                true,
            ),
            (500, "Internal error occurred: etcdserver: request is too large", &[], false),
        ];
        for (code, message, causes, expected) in waits {
            assert_eq!(
                failure(status(code, "", message, causes)).class().retry == Retry::AfterSecretChange,
                expected,
                "{code} {causes:?}"
            );
        }
    }

    #[test]
    fn a_secret_that_breaks_a_rule_waits_for_a_change_though_the_answer_is_too_large_to_be_read() {
        let waits = |secret: Value| {
            let status = status(422, "", size_limit::TOO_LARGE, &[]);
            failure_of(&open(), &self::secret(secret), None, status).class().retry
        };
        let large = CANARY.repeat(400_000);
        assert_eq!(waits(json!({"stringData": {"password": large}})), Retry::AfterSecretChange);
        assert_eq!(waits(json!({"stringData": {"a/b": CANARY}})), Retry::AfterSecretChange);
        assert_eq!(
            waits(json!({"stringData": {"password": CANARY}})),
            Retry::Stalled,
            "a policy may deny it"
        );
    }

    #[test]
    fn a_terminating_namespace_is_distinguished_from_other_refusals() {
        let goes = status(403, "Forbidden", CANARY, &[("NamespaceTerminating", "metadata.namespace")]);
        assert!(matches!(failure(goes), Failure::NamespaceTerminating));
        let mut gone = status(404, "NotFound", CANARY, &[]);
        gone.details.as_mut().unwrap().kind = "namespaces".to_owned();
        assert!(matches!(failure(gone), Failure::NamespaceTerminating));
    }

    #[test]
    fn an_answer_that_is_no_status_is_not_quoted() {
        let proxy = Status::failure(CANARY, "Failed to parse error data").with_code(502);
        let message = texts(&failure(proxy));
        assert!(has_none_of(&message, CANARY) && message.contains("(502)"), "{message}");
    }
}
